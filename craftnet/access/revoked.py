"""One revocation, as a value that nodes tell each other."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct


class Revocation(Struct, frozen=True):
    """Tokens that hold no longer. Times are Unix seconds.

    Attributes:
        token_id: the `jti` of a token, if it is about one.
        player_id: the player whose tokens are meant that were issued at `issued` or before, if it is about a player.
        issued: see there.
        until: when the last of the tokens ends; nothing needs to be remembered after that.
    """

    token_id: str | None
    player_id: UUID | None
    issued: float
    until: float
