"""The options of the groups State, Ingest, Processes and Configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class StateOptions:
    """The back ends that keep sessions, queues and materials."""

    backend: Annotated[
        str,
        Option("Back end that keeps sessions, queues and materials, NAME:key=value:…; see --help-backends"),
    ] = "memory"
    sessions: Annotated[str | None, Option("Another back end for sessions", default="that of --backend")] = None
    queues: Annotated[str | None, Option("Another back end for queues", default="that of --backend")] = None
    materials: Annotated[str | None, Option("Another back end for materials", default="that of --backend")] = None

    @property
    def backends(self) -> set[str]:
        """The options of all back ends."""
        return {self.sessions or self.backend, self.materials or self.backend, self.queues or self.backend}


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """Where events come from, besides POST /events."""

    ingest: Annotated[
        str | None,
        Option(
            "Message bus from which the authority's events are read as well, NAME:key=value:…; see --help-ingest",
            default="events are only posted",
        ),
    ] = None
    dead_letters: Annotated[
        str | None,
        Option(
            "File for messages of the bus that are no events, one JSON object a line; with --workers, each worker has "
            "a file of its own: dead.jsonl becomes dead-w0.jsonl, dead-w1.jsonl, …",
            default="they are counted and logged",
        ),
    ] = None


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


@dataclass(frozen=True, kw_only=True)
class ConfigurationOptions:
    """The source of options."""

    config: Annotated[
        str | None,
        Option(
            "TOML file with options, `name = value` for --name. The command line wins over the environment "
            "(CRAFTNET_NAME), and the environment over the file",
            default="no file",
            in_file=False,
        ),
    ] = None
