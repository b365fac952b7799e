"""One revocation, as a value that nodes exchange."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct


class Revocation(Struct, frozen=True):
    """Revoked tokens. Times are Unix seconds.

    Attributes:
        token_id: the `jti` of the token, if it concerns one.
        player_id: the player, if it concerns all of a player's tokens that were issued at `issued` or before.
        issued: see there.
        until: when the last of the tokens expires; the entry can be removed then.
    """

    token_id: str | None
    player_id: UUID | None
    issued: float
    until: float
