"""The options of the group Access."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Who may do what."""

    auth: Annotated[
        str | None,
        Option(
            "How tokens are checked: jwt:jwks=FILE-or-URL or jwt:key=PEM-FILE, optionally with :aud=…, :iss=… and "
            ":kid=optional",
            default="development tokens, signed with $CRAFTNET_JWT_SECRET; without that variable, with a secret made "
            "at start-up, and then the server listens on loopback only",
            reload=True,
        ),
    ] = None
    origins: Annotated[
        tuple[str, ...],
        Option(
            "Site whose pages may connect: https://game.example, https://*.game.example, null, file:// or *; may be "
            "repeated",
            name="origin",
            default="the server's own pages",
            separator=",",
            reload=True,
        ),
    ] = ()
