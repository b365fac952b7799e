"""The options of the group Addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.limits.client_address import NO_NETWORKS, Networks
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class AddressOptions:
    """The addresses on which the service listens, and those that clients receive."""

    http: Annotated[
        str | None,
        Option(
            "Endpoint for HTTP and WebSocket, such as tcp:8080 or ssl:443:privateKey=…:certKey=…",
            default="tcp:$PORT, or tcp:8080",
        ),
    ] = None
    udp: Annotated[
        str | None,
        Option("UDP port (on every address, IPv4 and IPv6), host:port, [IPv6]:port, or off", default="8082"),
    ] = None
    public_udp: Annotated[
        str | None,
        Option(
            "host:port that clients send UDP to",
            default="the host by which they reach this server over HTTP, and the port of --udp",
        ),
    ] = None
    region: Annotated[
        str | None,
        Option(
            "Name of this node's region, such as us-east, which clients may prefer for UDP. Nodes on one Redis then "
            "need --public-udp, and the same random text of at least 32 bytes in CRAFTNET_CLUSTER_KEY",
            default="no region: preferences of clients have no effect",
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Option(
            "URL by which clients reach this server, such as https://craft.example, optionally with a base path; used "
            "for URLs in answers and for the Origin check",
            default="from X-Forwarded-Proto and X-Forwarded-Host of a --trusted-proxy, else from Host",
        ),
    ] = None
    prefixes: Annotated[
        tuple[str, ...],
        Option("Further base path of every route, such as /crafting; may be repeated", name="prefix"),
    ] = ()
    trusted_proxies: Annotated[
        Networks,
        Option(
            "Networks of the proxies whose X-Forwarded-For, -Proto and -Host are trusted, such as 10.0.0.0/8; unix "
            "stands for proxies on a UNIX socket. Without it, all clients of a proxy share the limits of one address",
            name="trusted-proxy",
        ),
    ] = NO_NETWORKS
    hsts: Annotated[
        int,
        Option(
            "Seconds for Strict-Transport-Security in answers over TLS (0 = not sent)",
            unit="seconds",
            least=0,
            most=2**31,
        ),
    ] = 0
