"""What a worker does when its supervisor has died: it stops, too. Nobody would stop it later, or start it again."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

LOOK = 1.0
"""Seconds between looks."""


class OrphanWatch(TimerService):
    """Looks whether the process that started this one is still there.

    Arguments:
        reactor: is stopped when it is not; and the clock.
        parent: answers the id of this process's parent, which becomes another one when that dies.
    """

    _log = Logger()

    def __init__(self, reactor: Any, parent: Callable[[], int] = os.getppid) -> None:
        super().__init__(LOOK, self._look)
        self.clock = self._reactor = reactor
        self._parent = parent
        self._supervisor = parent()

    def _look(self) -> None:
        parent = self._parent()
        if parent != self._supervisor:
            self._supervisor = parent  # once is enough: stopping takes a while.
            self._log.warn("The supervisor is gone: stopping")
            with suppress(ReactorNotRunning):  # it stops already.
                self._reactor.stop()
