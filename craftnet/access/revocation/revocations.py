"""Revoked tokens: one revocation as a value, and the list of those in force."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from craftnet.access.principal import Principal
from craftnet.errors import revocations_full


class Revocation(Struct, frozen=True):
    """Revoked tokens. Times are Unix seconds.

    Attributes:
        token_id: the `jti` of the token; None if the revocation concerns a player.
        player_id: the player whose tokens issued at `issued` or before are revoked; None if it concerns one token.
        issued: see there.
        until: when the last of the tokens expires; the entry can be removed then.
    """

    token_id: str | None
    player_id: UUID | None
    issued: float
    until: float


MAX_REVOCATIONS = 100_000
"""Maximum number of entries."""

DEFAULT_REVOCATION_SECONDS = 7 * 86_400.0
"""Seconds that an entry is kept when the token's expiry is unknown."""


class Revocations:
    """The revocations in force. Pure; times are Unix seconds.

    Arguments:
        capacity: maximum number of entries. A full list forgets nothing and refuses further entries.
    """

    def __init__(self, capacity: int = MAX_REVOCATIONS) -> None:
        self._capacity = capacity
        self._tokens: dict[str, float] = {}
        self._players: dict[UUID, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._players)

    def add(self, revocation: Revocation, now: float) -> bool:
        """Revokes a token, a player's tokens, or both; returns whether that is new. Revocations are never undone.

        Raises:
            TooManyRequests: the list is full; nothing was revoked.
        """
        token_id, player_id, until = revocation.token_id, revocation.player_id, revocation.until
        new_token = token_id is not None and token_id not in self._tokens
        new_player = player_id is not None and player_id not in self._players
        self._make_room(new_token + new_player, now)
        news = False
        if token_id is not None and until > self._tokens.get(token_id, -1.0):
            self._tokens[token_id] = until
            news = True
        if player_id is not None:
            before = self._players.get(player_id, (-1.0, -1.0))
            after = (max(revocation.issued, before[0]), max(until, before[1]))
            self._players[player_id] = after
            news = news or after != before
        return news

    def in_force(self, now: float) -> list[Revocation]:
        """All revocations in force, each of one token or one player."""
        tokens = [Revocation(token_id, None, 0.0, until) for token_id, until in self._tokens.items() if until > now]
        players = [
            Revocation(None, player_id, issued, until)
            for player_id, (issued, until) in self._players.items()
            if until > now
        ]
        return tokens + players

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
            raise revocations_full(max(1, round(soonest - now)), self._capacity)
