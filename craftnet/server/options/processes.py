"""The options of the group Processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """How many processes serve."""

    workers: Annotated[
        int,
        Option(
            "Number of processes, all on the same HTTP port, each with a UDP port of its own from --udp on. They "
            "share the back end, or divide the players of memory or workshop",
            least=1,
            most=256,
        ),
    ] = 1
    worker_timeout: Annotated[
        float,
        Option(
            "Seconds without a sign of life after which a worker is killed and started again",
            unit="seconds",
            least=3,
            most=3600,
        ),
    ] = 30.0
