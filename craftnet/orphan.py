"""Stops a worker whose supervisor has died: nobody would stop it later, or restart it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

SUPERVISOR = "CRAFTNET_SUPERVISOR"
"""The environment variable with the id of the process that started this one."""

LOOK = 1.0
"""Seconds between checks."""


class OrphanWatch(TimerService):
    """Checks whether the process that started this one is still there.

    Arguments:
        reactor: stopped when it is not; and the clock.
        supervisor: the id of that process, which may have died before this one could ask for it.
        parent: returns the id of this process's parent, which changes when that dies.
    """

    _log = Logger()

    def __init__(self, reactor: Any, supervisor: int, parent: Callable[[], int] = os.getppid) -> None:
        super().__init__(LOOK, self._look)
        self.clock = self._reactor = reactor
        self._supervisor = supervisor
        self._parent = parent
        self._gone = False

    def _look(self) -> None:
        if self._parent() == self._supervisor:
            return
        if not self._gone:
            self._gone = True
            self._log.warn("The supervisor is gone: stopping")
        with suppress(ReactorNotRunning):  # not running yet, so another check follows; or already stopping.
            self._reactor.stop()
