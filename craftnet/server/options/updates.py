"""The options of the group Updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.crafting.progress import Tolerance
from craftnet.feeds.hub import REFRESH
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """When clients receive updates."""

    tolerance_percent: Annotated[
        float,
        Option(
            "Points of progress by which a client's copy may be wrong before it gets an update",
            unit="percent",
            least=0.01,
            most=100,
        ),
    ] = Tolerance().percent
    tolerance_ms: Annotated[
        int,
        Option(
            "Milliseconds by which a client's remaining time may be wrong before it gets an update; 1 % of the "
            "remaining time if that is more",
            unit="milliseconds",
            least=1,
            most=60_000,
        ),
    ] = int(Tolerance().seconds * 1000)
    refresh: Annotated[
        float,
        Option(
            "Seconds after which a running craft is sent again although nothing changed",
            unit="seconds",
            least=0.5,
            most=3600,
        ),
    ] = REFRESH
