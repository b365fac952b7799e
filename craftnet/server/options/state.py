"""The options of the group State."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class StateOptions:
    """Where sessions, queues and materials are kept."""

    backend: Annotated[
        str,
        Option("Where sessions, queues and materials are kept, NAME:key=value:…; see --help-backends"),
    ] = "memory"
    sessions: Annotated[str | None, Option("Another back end for sessions", default="that of --backend")] = None
    queues: Annotated[str | None, Option("Another back end for queues", default="that of --backend")] = None
    materials: Annotated[str | None, Option("Another back end for materials", default="that of --backend")] = None

    @property
    def backends(self) -> set[str]:
        """The options of all back ends."""
        return {self.sessions or self.backend, self.materials or self.backend, self.queues or self.backend}
