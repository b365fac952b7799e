"""The options of the group Health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.observe.health.monitor import HEALTH_INTERVAL
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class HealthOptions:
    """What is checked, and how often."""

    crafting_service: Annotated[
        str | None, Option("URL that answers 2xx when crafting-service is well", default="not checked")
    ] = None
    real_time_combat: Annotated[
        str | None, Option("URL that answers 2xx when real-time-combat is well", default="not checked")
    ] = None
    health_interval: Annotated[
        float,
        Option(
            "Seconds between health checks, and between health updates",
            unit="seconds",
            least=0.5,
            most=3600,
        ),
    ] = HEALTH_INTERVAL
