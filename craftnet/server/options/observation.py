"""The options of the groups Health, Observation and Recording: checks, metrics, logs, the audit log, traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from craftnet.observe.health.monitor import HEALTH_INTERVAL
from craftnet.server.options.option import Option


@dataclass(frozen=True, kw_only=True)
class HealthOptions:
    """The checks of other services, and their interval."""

    crafting_service: Annotated[
        str | None, Option("URL that answers 2xx when crafting-service is healthy", default="not checked")
    ] = None
    real_time_combat: Annotated[
        str | None, Option("URL that answers 2xx when real-time-combat is healthy", default="not checked")
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


@dataclass(frozen=True, kw_only=True)
class ObservationOptions:
    """Metrics, logs, the audit log, and traces."""

    audit: Annotated[
        str | None,
        Option(
            "File for the audit log of security events, which shows every later change. With --workers, each worker "
            "has a file of its own: audit.jsonl becomes audit-w0.jsonl, audit-w1.jsonl, …",
            default="no audit log",
        ),
    ] = None
    audit_key: Annotated[
        str | None,
        Option(
            "File with the key of the audit log, readable by its owner alone; craftnet audit create-key creates one",
            default="the key itself is in $CRAFTNET_AUDIT_SECRET",
        ),
    ] = None
    audit_players: Annotated[
        str | None,
        Option(
            "File with the keys of the players' pseudonyms in the audit log, for all workers",
            default="the file of --audit, followed by .players",
        ),
    ] = None
    otlp: Annotated[
        str | None,
        Option(
            "URL of an OpenTelemetry collector that takes traces with OTLP over HTTP, such as http://127.0.0.1:4318; "
            "needs the extra craftnet[otel]",
            default="no traces",
        ),
    ] = None
    trace_sample: Annotated[
        float,
        Option(
            "Share of events and of clients' requests that are traced; a traceparent of the authority decides itself",
            least=0,
            most=1,
        ),
    ] = 0.01
    audit_sync: Annotated[
        str,
        Option(
            "When the audit log waits for the disk: always (after every batch of entries), never, or a number of "
            "seconds between two waits"
        ),
    ] = "1"
    metrics: Annotated[
        str | None,
        Option(
            "Separate endpoint for /metrics, such as tcp:9090; the endpoint of --http then does not serve /metrics",
            default="/metrics is served by the endpoint of --http",
        ),
    ] = None
    log_format: Annotated[
        str,
        Option("Format of the log: text as twistd's, or json with one object a line", choices=("text", "json")),
    ] = "text"
    log_levels: Annotated[
        tuple[str, ...],
        Option(
            "Minimum level of logged events, LEVEL or LOGGER=LEVEL, such as craftnet.feeds=debug; several are "
            "separated by commas. Levels are debug, info, warn, error, critical",
            name="log-level",
            default="info",
            separator=",",
            reload=True,
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """The histories of sessions, for `craftnet analyse`."""

    record: Annotated[
        str | None,
        Option(
            "Folder to which the histories of sessions are written as Parquet files, under pseudonyms, for craftnet "
            "analyse; all workers write to it. Needs the extra craftnet[analysis]",
            default="nothing is recorded",
        ),
    ] = None
    record_players: Annotated[
        str | None,
        Option(
            "File with the keys of the players' pseudonyms in the recording, for all workers; never in the folder of "
            "--record",
            default="that of the audit log with --audit, otherwise the folder of --record, followed by .players",
        ),
    ] = None
    record_key: Annotated[
        str | None,
        Option(
            "File with a key that nodes on several machines share, so that a session has the same pseudonym in all of "
            "their recordings; craftnet audit create-key creates one",
            default="this machine makes its own keys and destroys them at the end of a period",
        ),
    ] = None
    record_rotation: Annotated[
        str,
        Option("How long a pseudonym in the recording stays the same, UTC", choices=("day", "month")),
    ] = "day"
    record_days: Annotated[
        int,
        Option(
            "Days after which the recording's files are deleted (0 = never)",
            unit="days",
            least=0,
            most=36_500,
        ),
    ] = 0
    record_interval: Annotated[
        float,
        Option(
            "Seconds that the recording's writer collects before it writes a file; a crash of the writer loses at most "
            "what it has collected",
            unit="seconds",
            least=1,
            most=3600,
        ),
    ] = 60.0
