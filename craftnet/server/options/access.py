"""The options of the groups Access and Administration: tokens, origins, the dashboard, notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Authorisation of clients."""

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


@dataclass(frozen=True, kw_only=True)
class AdministrationOptions:
    """How operators and game masters control a running service."""

    dashboard: Annotated[
        str | None,
        Option(
            "Whether administrators may see this server (/admin, /ws/admin), and operators act: off, read-only (every "
            "POST is refused) or on",
            default="on with development tokens, off with --auth",
            choices=("off", "read-only", "on"),
        ),
    ] = None
    dashboard_http: Annotated[
        str | None,
        Option(
            "Separate endpoint for the dashboard and the admin API, such as tcp:9099:interface=127.0.0.1; the port of "
            "--http then does not serve them",
            default="the port of --http",
        ),
    ] = None
    notify: Annotated[
        str | None,
        Option(
            "Webhook for notifications of players without a connection, about free stations and the ends of crafts: "
            "webhook:url=https://…, with the secret that signs requests in CRAFTNET_WEBHOOK_SECRET",
            default="nowhere",
        ),
    ] = None
