"""The options of the group WebSocket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.protocols.feed.server.feed_connections import PING_INTERVAL
from craftnet.protocols.websocket.server.factory import MISSED_PONGS
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class WebSocketOptions:
    """Heartbeats, and the end of connections."""

    ping_interval: Annotated[int, Option("Seconds between WebSocket pings", unit="seconds", least=1, most=3600)] = (
        PING_INTERVAL
    )
    missed_pongs: Annotated[
        int,
        Option(
            "Number of unanswered pings in a row after which a connection is dropped",
            least=1,
            most=100,
        ),
    ] = MISSED_PONGS
    drain_time: Annotated[
        float,
        Option(
            "Seconds over which connections are closed when the server stops (0 = all at once)",
            unit="seconds",
            least=0,
            most=3600,
        ),
    ] = 5.0
