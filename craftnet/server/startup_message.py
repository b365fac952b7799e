"""What an operator sees at start-up: what is served, and how to watch a live craft."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from shlex import quote
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from craftnet.access.auth_option import AuthSetup
from craftnet.access.development import sign_token
from craftnet.access.principal import ADMIN, OPERATE
from craftnet.interfaces import IBackend
from craftnet.providers.inspection import IDemonstration
from craftnet.runtime.addresses import is_loopback
from craftnet.runtime.masking import masked_option


class ServedSummary(Struct, frozen=True):
    """What is served.

    Attributes:
        url: the base URL of HTTP and WebSocket.
        udp: the address, or "off".
        backend: the operator's option.
        access: how callers authenticate.
        caution: why only loopback is served; empty otherwise.
        metrics: the URL of the metrics where they have a port of their own; empty otherwise.
    """

    url: str
    udp: str
    backend: str
    access: str
    caution: str = ""
    metrics: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        lines = [
            f"HTTP and WebSocket: {self.url}",
            f"UDP: {self.udp}",
            f"Back end: {masked_option(self.backend)}",
            f"Access: {self.access}",
        ]
        if self.metrics:
            lines.append(f"Metrics: {self.metrics}")
        if self.caution:
            lines.append(f"Only loopback is served: {self.caution}")
        return lines


class PageLink(Struct, frozen=True):
    """A page for which the start-up text has a link.

    Attributes:
        name: what it is, for people.
        path: below the base URL.
        scopes: of the token in the link; none: it is the player's.
    """

    name: str
    path: str
    scopes: tuple[str, ...] = ()


PLAYERS_VIEW = PageLink("Player's view", "/demo/")
DASHBOARD = PageLink("Dashboard", "/dashboard/", (ADMIN, OPERATE))


def watch_hint(player_id: UUID, links: Sequence[tuple[str, str]], token: str, url: str, command: str) -> str:
    """Links and a command that work for as long as the server runs, and the address of a feed for other clients.

    Arguments:
        player_id: the player whom the command watches.
        links: names and URLs of pages.
        token: authorises watching; this text is for a terminal, not for a log.
        url: the base URL.
        command: the name of the `craftnet` command here.
    """
    rows = [*links, ("Terminal", f"{quote(command)} watch --player {player_id} --url {url} --token {token}")]
    width = max(len(name) for name, _ in rows)
    lines = "\n\n".join(f"  {name:<{width}}  {target}" for name, target in rows)
    return f"""
See a player's crafts live, for as long as this server runs:

{lines}

Everything of the player, for any WebSocket client that sends the token in an Authorization header:

  {url.replace("http", "ws", 1)}/ws/player/{player_id}
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


def hint(
    backend: IBackend, access: AuthSetup, url: str, now: float, pages: Sequence[PageLink] = (PLAYERS_VIEW,)
) -> str | None:
    """How to watch live crafts, where there are any to show and a token can be made for them.

    A page's link has its token in the fragment, which no request contains, and only where the URL is of this machine.
    """
    featured = backend.featured() if IDemonstration.providedBy(backend) else None
    if featured is None or access.secret is None:
        return None

    def signed(scopes: tuple[str, ...]) -> str:
        return sign_token(access.secret or b"", None if scopes else featured.player_id, scopes, HINT_TTL, now)

    local = is_loopback(urlsplit(url).hostname or "")
    links = [(page.name, f"{url}{page.path}#token={signed(page.scopes)}") for page in pages if local]
    command = os.path.join(os.path.dirname(sys.argv[0]), "craftnet")
    return watch_hint(featured.player_id, links, signed(()), url, command)
