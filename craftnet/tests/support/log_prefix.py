"""An observer that an operator might pass to twistd's --logger."""

from __future__ import annotations

import sys

from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import provider


def observer() -> object:
    """Prints each event after a prefix."""

    @provider(ILogObserver)
    def prefixed(event: LogEvent) -> None:
        print(f"marked: {formatEvent(event)}", file=sys.__stdout__, flush=True)

    return prefixed
