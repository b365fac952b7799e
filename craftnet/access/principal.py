"""The bearer of a token and what it may do: the one place where access rules are written down."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

PUBLISH = "crafting:publish"
"""Allows publishing state for any session."""

ADMIN = "crafting:admin"
"""Allows observing any session and the health feeds."""


OPERATE = "crafting:operate"
"""Allows acting through the admin API."""


RELAY = "crafting:relay"
"""Allows an edge to follow any session, any player's queue, and the revocations."""


class Principal(Struct, frozen=True, gc=False):
    """The bearer of a valid token.

    Attributes:
        player_id: the token's `sub`; None for a service whose `sub` is no player.
        scopes: the token's scopes.
        expires: the token's expiry on the steady clock, computed when it was verified.
        token_id: the token's `jti`, if it has one.
        issued: the token's `iat`, Unix seconds, if it has one.
        subject: the token's `sub`, where it is that of an administrator or an operator.
    """

    player_id: UUID | None
    scopes: frozenset[str]
    expires: float
    token_id: str | None = None
    issued: float | None = None
    subject: str | None = None

    @property
    def actor(self) -> str:
        """What an audit log calls an operator: the `sub` of the token, or else its `jti`."""
        return self.subject or self.token_id or "unknown"

    @property
    def may_publish(self) -> bool:
        """Whether what it sends is the truth, for any session."""
        return PUBLISH in self.scopes

    @property
    def may_administer(self) -> bool:
        """Whether it may observe everything, health feeds included."""
        return ADMIN in self.scopes

    @property
    def may_operate(self) -> bool:
        """Whether it may act through the admin API."""
        return OPERATE in self.scopes

    @property
    def may_relay(self) -> bool:
        """Whether it is an edge, which may follow the state of every player."""
        return RELAY in self.scopes

    def succeeds(self, former: Principal) -> bool:
        """Whether it may continue what `former` started: the same bearer with no fewer rights."""
        return self.player_id == former.player_id and self.scopes >= former.scopes

    def may_observe(self, player_id: UUID) -> bool:
        """Whether it may observe the sessions and queues of this player."""
        return self.may_administer or self.player_id == player_id
