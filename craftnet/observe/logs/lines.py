"""The lines of the log: as text or JSON, without tokens, one for many of the same kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from twisted.logger import LogEvent, LogLevel, LogLevelFilterPredicate, eventAsText, formatEvent

from craftnet.errors import ConfigurationError
from craftnet.runtime.masking import without_secrets

FORMATS = ("text", "json")

IDS = ("request_id", "session_id", "player_id", "connection_id", "trace_id")
"""The ids that a JSON line contains if the event concerns one."""

FLOOD_INTERVAL = 10.0
"""Seconds in which events of one kind are counted together."""

FLOOD_LINES = 20
"""Lines of one kind that an interval may have; further ones are summed up in one."""


def text_line(event: LogEvent) -> str:
    """An event as twistd writes it, with its traceback."""
    text = eventAsText(event)
    return without_secrets(text).replace("\n", "\n\t") + "\n" if text else ""


def json_lines(node: str, worker: str | None) -> Callable[[LogEvent], str]:
    """Returns a formatter that turns an event into a JSON line.

    Arguments:
        node: the name of this machine.
        worker: the number of this process; None if it is the only one.
    """
    origin = {"node": node} if worker is None else {"node": node, "worker": worker}

    def line(event: LogEvent) -> str:
        passed = event.get("line")
        if "tag" in event and isinstance(passed, str) and passed.startswith('{"time":'):
            return without_secrets(passed) + "\n"  # a worker's line, which its supervisor passes on.
        record = {
            "time": _time(event),
            "level": str(getattr(event.get("log_level"), "name", "info")),
            "logger": str(event.get("log_namespace", "")),
            "message": without_secrets(formatEvent(event)),
            **origin,
            **{name: without_secrets(str(event[name])) for name in IDS if event.get(name) is not None},
        }
        failure = event.get("log_failure")
        if failure is not None:
            record["error"] = without_secrets(failure.getTraceback())
        return msgspec.json.encode(record).decode() + "\n"

    return line


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(float(event.get("log_time", 0.0)), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


class Floods:
    """Counts events of one kind: those of one logger with one format."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self._until = 0.0

    def admit(self, event: LogEvent) -> bool:
        """Whether to write an event. Always true for lines that a supervisor passes on from its workers."""
        if "tag" in event and "line" in event:
            return True
        kind = (str(event.get("log_namespace", "")), str(event.get("log_format") or formatEvent(event)))
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        return count <= FLOOD_LINES

    def ended(self, now: float) -> Iterator[LogEvent]:
        """The summaries of an interval that has ended; called before each event, with its time."""
        if now < self._until:
            return
        for (logger, text), count in self._seen.items():
            if count > FLOOD_LINES:
                yield {
                    "log_time": now,
                    "log_level": LogLevel.warn,
                    "log_namespace": logger,
                    "log_format": "{count} more like this in {seconds:g} s: {kind}",
                    "count": count - FLOOD_LINES,
                    "seconds": FLOOD_INTERVAL,
                    "kind": text,
                }
        self._seen.clear()
        self._until = now + FLOOD_INTERVAL


def parse_levels(texts: tuple[str, ...]) -> Mapping[str, LogLevel]:
    """Parses the values of --log-level: levels by logger name; the empty name stands for all other loggers.

    Raises:
        ConfigurationError: one of them is malformed.
    """
    levels = {"": LogLevel.info}
    names = [level.name for level in LogLevel.iterconstants()]
    for text in texts:
        logger, _, level = text.rpartition("=")
        if level not in names or (not logger and "=" in text):
            raise ConfigurationError(
                f"--log-level {text}: expected LEVEL or LOGGER=LEVEL, such as craftnet.feeds=debug; levels are"
                f" {', '.join(names)}"
            )
        levels[logger] = LogLevel.levelWithName(level)
    return levels


def set_levels(predicate: LogLevelFilterPredicate, levels: Mapping[str, Any]) -> None:
    """Replaces the levels of a filter."""
    predicate.clearLogLevels()
    for logger, level in levels.items():
        predicate.setLogLevelForNamespace(logger, level)
