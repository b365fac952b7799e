"""Tokens that hold no longer although they have not expired: single ones, and all of a player's up to some moment.

The list is of this process: it is empty after a start, and every process of a cluster has to be told.
"""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.errors import TooManyRequests, Unauthorized
from craftnet.interfaces import IAuthority
from craftnet.messages import instant

CAPACITY = 100_000
"""Entries at most."""

LIFETIME = 7 * 86_400.0
"""Seconds an entry is kept when nobody says until when the token would hold."""


class Revocations:
    """What is revoked. Pure; times are Unix seconds.

    Arguments:
        capacity: entries at most. When it is full, nothing is forgotten: a further one is refused.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._tokens: dict[str, float] = {}
        self._players: dict[UUID, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._players)

    def revoke(self, token_id: str | None, player_id: UUID | None, until: float, now: float) -> None:
        """Revoke a token by its `jti`, a player's tokens that were issued by now, or both.

        Arguments:
            until: when they would expire; nothing is remembered after that.

        Raises:
            TooManyRequests: there is no room; nothing was revoked.
        """
        new_token = token_id is not None and token_id not in self._tokens
        new_player = player_id is not None and player_id not in self._players
        self._make_room(new_token + new_player, now)
        if token_id is not None:
            self._tokens[token_id] = max(until, self._tokens.get(token_id, 0.0))
        if player_id is not None:
            self._players[player_id] = (now, max(until, self._players.get(player_id, (0.0, 0.0))[1]))

    def covers(self, principal: Principal) -> bool:
        """Whether the token of this principal is revoked."""
        if principal.token_id is not None and principal.token_id in self._tokens:
            return True
        if principal.player_id is None or principal.player_id not in self._players:
            return False
        revoked, _ = self._players[principal.player_id]
        return principal.issued is None or principal.issued <= revoked

    def _make_room(self, number: int, now: float) -> None:
        if len(self) + number <= self._capacity:
            return
        self._tokens = {token_id: until for token_id, until in self._tokens.items() if until > now}
        self._players = {player_id: entry for player_id, entry in self._players.items() if entry[1] > now}
        if len(self) + number > self._capacity:
            soonest = min((*self._tokens.values(), *(until for _, until in self._players.values())), default=now + 1.0)
            raise TooManyRequests(
                "The list of revocations is full.",
                retry_after=max(1, round(soonest - now)),
                limit=self._capacity,
                reset=instant(soonest),
            )


@implementer(IAuthority)
class RevocableAuthority:
    """Believes what another authority believes, unless it is revoked."""

    def __init__(self, authority: IAuthority, revocations: Revocations) -> None:
        self._authority = authority
        self._revocations = revocations

    def authenticate(self, token: str) -> Deferred[Principal]:
        """See `IAuthority`."""
        return self._authority.authenticate(token).addCallback(self._check)

    def _check(self, principal: Principal) -> Principal:
        if self._revocations.covers(principal):
            raise Unauthorized("The token was revoked.", problem="invalid_token")
        return principal
