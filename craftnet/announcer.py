"""Tells the operator, at start-up, what is served."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from craftnet.access.development import mint
from craftnet.access.options import Access
from craftnet.banner import watch_hint
from craftnet.interfaces import IBackend, IShowcase

HINT_TTL = 30 * 86400
"""Seconds until the token in the start-up text expires: the length of a demonstration."""


class Announcer(Service):
    """Logs what is served, and prints what must not be logged.

    Arguments:
        lines: what is served; called once everything listens.
        hint: a text for the terminal only, because it contains a token; None when there is none (yet).
    """

    _log = Logger()

    def __init__(self, lines: Callable[[], Iterable[str]], hint: Callable[[], str | None], clock: IReactorTime) -> None:
        self._lines = lines
        self._hint = hint
        self._clock = clock
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Announces once the reactor runs, that is, once everything has started."""
        super().startService()
        self._call = self._clock.callLater(0, self._speak)

    def stopService(self) -> None:
        """Stops."""
        super().stopService()
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _speak(self) -> None:
        for line in self._lines():
            self._log.info("{line}", line=line)
        text = self._hint()
        # Not sys.stdout: twistd redirects it to the log.
        if text is not None and sys.__stdout__ is not None:
            print(text, file=sys.__stdout__, flush=True)


def hint(backend: IBackend, access: Access, url: str, now: float) -> str | None:
    """How to watch a live craft, where there is one to show and a token can be made for it."""
    featured = backend.featured() if IShowcase.providedBy(backend) else None
    if featured is None or access.secret is None:
        return None
    token = mint(access.secret, featured.player_id, (), HINT_TTL, now)
    return watch_hint(featured, token, url, os.path.join(os.path.dirname(sys.argv[0]), "craftnet"))
