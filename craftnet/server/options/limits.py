"""The options of the group Limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.http.routes.site import IDLE_TIMEOUT
from craftnet.limits.connection_limits import BURST_SECONDS, Limits
from craftnet.server.options.option import Members, Option

BURST_TEXT = (
    f"Up to {BURST_SECONDS:g} seconds' worth may come at once; further ones are refused with 429 (0 = unlimited)"
)
"""The end of the help of a rate."""


DEFAULT_LIMITS = Limits()
"""The limits of a server without options."""


def _count(name: str, text: str) -> Option:
    return Option(text, name=name, least=0, most=1_000_000, reload=True)


def _rate(name: str, text: str) -> Option:
    return Option(text, name=name, unit="per second", least=0, most=1e6, reload=True)


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """How many, and how often."""

    limits: Annotated[
        Limits,
        Members(
            {
                "connections": _count(
                    "max-connections",
                    "Maximum number of feeds (WebSockets, event streams); further handshakes are refused with 429 "
                    "(0 = unlimited)",
                ),
                "per_player": _count(
                    "max-per-player",
                    "Maximum number of feeds of one player, on all nodes that share a back end (0 = unlimited)",
                ),
                "per_session": _count(
                    "max-per-session", "Maximum number of feeds of one crafting session (0 = unlimited)"
                ),
                "per_address": _count(
                    "max-per-address",
                    "Maximum number of feeds from one address; an IPv6 address counts as its /64 (0 = unlimited)",
                ),
                "half_open": _count(
                    "max-half-open",
                    "Maximum number of connections that have not sent a whole request yet; the oldest is dropped for "
                    "a further one (0 = unlimited)",
                ),
                "half_open_per_address": _count(
                    "max-half-open-per-address", "As --max-half-open, for one address (0 = unlimited)"
                ),
                "refused_pages": _count(
                    "max-refused-pages",
                    "Maximum number of web pages whose handshake was refused and that are being closed with a code "
                    "that names the reason; further ones get the HTTP status, which pages cannot see (0 = unlimited)",
                ),
                "message_size": Option(
                    "Maximum size of a WebSocket client's message, in bytes; a client that exceeds it is closed with "
                    "1009",
                    name="max-message",
                    unit="bytes",
                    least=1024,
                    most=2**24,
                    reload=True,
                ),
                "handshakes": _rate(
                    "handshake-rate",
                    f"WebSocket handshakes and event streams per second from one address. {BURST_TEXT}",
                ),
                "health": _rate(
                    "health-rate",
                    f"Requests per second from one address to GET /health and GET /health/ws together. {BURST_TEXT}",
                ),
                "health_batches": _rate(
                    "health-batch-rate", f"Requests per second from one address to POST /health/batch. {BURST_TEXT}"
                ),
                "connects": _rate(
                    "connect-rate", f"Requests per second from one address to POST …/connect. {BURST_TEXT}"
                ),
                "connects_per_player": _rate(
                    "connect-rate-per-player",
                    "Requests per second to POST …/connect for the sessions of one player, from all addresses. "
                    f"{BURST_TEXT}",
                ),
                "messages": _rate(
                    "message-rate",
                    "Messages and pings per second from one WebSocket client; excess ones are ignored, and a client "
                    "that keeps exceeding the rate is closed with 4029 (0 = unlimited)",
                ),
                "unlimited": Option(
                    "Networks that are exempt from every limit per address, such as those of monitoring and of load "
                    "tests",
                    name="unlimited-from",
                    default="127.0.0.0/8,::1",
                    reload=True,
                ),
                "handshake_timeout": Option(
                    "Seconds for the head of a request to arrive, and again for the answer to a WebSocket handshake",
                    name="handshake-timeout",
                    unit="seconds",
                    least=0.1,
                    most=600,
                    reload=True,
                ),
            }
        ),
    ] = DEFAULT_LIMITS
    idle_timeout: Annotated[
        float,
        Option(
            "Seconds that a kept-alive HTTP connection may wait for its next request. It must be longer than the "
            "proxy in front keeps its own connections: the default suits AWS's ALB (60) and nginx (60 to servers); "
            "Google's load balancers (600) need 620",
            unit="seconds",
            least=1,
            most=86_400,
        ),
    ] = IDLE_TIMEOUT
