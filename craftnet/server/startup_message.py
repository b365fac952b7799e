"""What an operator sees at start-up: what is served, and how to watch a live craft."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from shlex import quote

from msgspec import Struct
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from craftnet.access.auth_option import AuthSetup
from craftnet.access.development import sign_token
from craftnet.crafting.state import SessionState
from craftnet.interfaces import IBackend, IDemonstration


class ServedSummary(Struct, frozen=True):
    """What is served.

    Attributes:
        url: the base URL of HTTP and WebSocket.
        udp: the address, or "off".
        backend: the operator's option.
        access: how callers authenticate.
        caution: why only loopback is served; empty otherwise.
    """

    url: str
    udp: str
    backend: str
    access: str
    caution: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        lines = [
            f"HTTP and WebSocket: {self.url}",
            f"UDP: {self.udp}",
            f"Back end: {self.backend}",
            f"Access: {self.access}",
        ]
        if self.caution:
            lines.append(f"Only loopback is served: {self.caution}")
        return lines


def watch_hint(session: SessionState, token: str, url: str, command: str) -> str:
    """A command to paste, and the address of a feed for other clients.

    Arguments:
        session: a running craft of the player whom the command watches.
        token: authorises watching; this text is for a terminal, not for a log.
        url: the base URL.
        command: the name of the `craftnet` command here.
    """
    return f"""
Watch a player's crafts live in another terminal:

  {quote(command)} watch --player {session.player_id} --url {url} --token {token}

The craft that is under way now, for any WebSocket client that sends the token in an Authorization header:

  {url.replace("http", "ws", 1)}/ws/crafting/{session.session_id}?player_id={session.player_id}
"""


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


def hint(backend: IBackend, access: AuthSetup, url: str, now: float) -> str | None:
    """How to watch a live craft, where there is one to show and a token can be made for it."""
    featured = backend.featured() if IDemonstration.providedBy(backend) else None
    if featured is None or access.secret is None:
        return None
    token = sign_token(access.secret, featured.player_id, (), HINT_TTL, now)
    return watch_hint(featured, token, url, os.path.join(os.path.dirname(sys.argv[0]), "craftnet"))
