"""Signs of life of workers: the supervisor replaces a worker that gives none.

A worker that hangs keeps its ports and its connections, and receives its share of new ones. Its reactor therefore
touches a file every second. Only a change of the file's time counts, not its value, so that the system's clock may be
set. Both sides keep the file open, so they do not depend on its name if somebody cleans up temporary folders.
"""

from __future__ import annotations

import os
import time
from typing import Any

from twisted.application.internet import TimerService

LIVENESS = "CRAFTNET_LIVENESS"
"""The environment variable with the file that a worker touches."""

INTERVAL = 1.0
"""Seconds between signs of life, and between checks."""

START_TIMEOUT = 60.0
"""Seconds for a worker's start: until its first sign of life, where the time limit is not longer anyway."""


class Heartbeat(TimerService):
    """A worker's side: touches the file as long as the reactor runs.

    Arguments:
        reactor: the clock.
        path: the file, which the supervisor created.
    """

    def __init__(self, reactor: Any, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY)
        super().__init__(INTERVAL, self._touch)
        self.clock = reactor

    def _touch(self) -> None:
        now = time.time_ns()  # the time that the system would set may be the same for some milliseconds.
        os.utime(self._file, ns=(now, now))


class Liveness:
    """The supervisor's side, for one worker.

    Silence is measured in checks, not by a clock: after all processes were suspended, as with a virtual machine, the
    supervisor may be the first to run again.

    Arguments:
        path: the file, which is created.
        timeout: seconds of silence that are too long.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        self._timeout = timeout
        self.restart()

    def restart(self) -> None:
        """The worker is started, for the first time or again."""
        self._silent = 0.0
        self._first = self._seen = self._touched

    @property
    def heard(self) -> bool:
        """Whether the worker has given a sign of life since it was started."""
        return self._touched != self._first

    def look(self) -> bool:
        """Whether the worker has been silent for too long; called every `INTERVAL` seconds."""
        touched = self._touched
        if touched != self._seen:
            self._seen, self._silent = touched, 0.0
        else:
            self._silent += INTERVAL
        return self._silent > (self._timeout if self.heard else max(self._timeout, START_TIMEOUT))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    @property
    def _touched(self) -> int:
        return os.fstat(self._file).st_mtime_ns
