"""Records messages that are given up: counts them, logs them, and writes them to a file of limited size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from twisted.logger import Logger

from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.streams.core.messages import DeadLetter, line_of

MAX_FILE_SIZE = 64 * 1_048_576
"""Size in bytes at which the file is renamed to `….1`, replacing the previous one."""

_MODE = 0o600  # messages contain players' ids.

_encode = msgspec.json.Encoder().encode


class DeadLetters:
    """Records messages that are given up.

    Arguments:
        path: the file, with one JSON object a line; None: messages are only counted and logged.
        wall: the system's clock, Unix seconds.
        limit: size of the file in bytes; the renamed one takes as much again.
    """

    _log = Logger()

    def __init__(
        self, path: Path | None, store: MetricStore, wall: Callable[[], float], limit: int = MAX_FILE_SIZE
    ) -> None:
        self._path = path
        self._wall = wall
        self._limit = limit
        self._counts = store.numbers(families.INGEST_DEAD_LETTERS)
        self._writable = True

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Records messages. If the file cannot be written, an error is logged and their lines are lost."""
        if not letters:
            return
        for letter in letters:
            self._counts[letter.reason.value,].value += 1
        first = letters[0]
        self._log.warn(
            "{count} messages are given up: {reason}: {error} ({partition}, offset {offset})",
            count=len(letters),
            reason=first.reason.value,
            error=first.error,
            partition=first.message.partition,
            offset=first.message.offset,
        )
        if self._path is not None:
            self._write(self._path, letters)

    def _write(self, path: Path, letters: Sequence[DeadLetter]) -> None:
        now = self._wall()
        lines = b"".join(_encode(line_of(letter, now)) + b"\n" for letter in letters)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
            try:
                os.write(descriptor, lines)
                full = os.fstat(descriptor).st_size >= self._limit
            finally:
                os.close(descriptor)
            if full:
                path.replace(path.with_name(f"{path.name}.1"))
        except OSError as error:
            if self._writable:
                self._log.error(
                    "messages that are given up cannot be written to {path}: {reason}",
                    path=str(path),
                    reason=error.strerror,
                )
            self._writable = False
        else:
            self._writable = True
