"""The commands of administrators: their requests, and the display of the answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from twisted.internet.defer import CancelledError, Deferred

from craftnet.client.admin.link import AdminLink, Request
from craftnet.client.admin.pictures import overview_line, overview_picture, sessions_table, trace_line
from craftnet.client.core.address import Address
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.clocks import IClock
from craftnet.contract.admin.feed import (
    MAX_LIMIT,
    AdminError,
    AdminHello,
    AdminMessage,
    OverviewMessage,
    TraceMessage,
    TraceRequest,
)
from craftnet.contract.admin.overview import AdminInfo
from craftnet.contract.admin.sessions import SessionPage, SessionRow
from craftnet.contract.events import EventsResponse
from craftnet.contract.messages import MALFORMED, to_json
from craftnet.errors import ConfigurationError

DONE, REFUSED, REJECTED = 0, 1, 3
"""Exit codes: also 2 for wrong usage, and 130 for Ctrl-C."""

MAX_PAGES = 1000
"""Pages that `craftnet sessions` reads for one search."""

STDIN = "-"


class AdminCommands:
    """Runs one command.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        options: of the command line.
        token: the bearer token.
    """

    def __init__(self, reactor: IClock, options: argparse.Namespace, token: str, out: TextIO, err: TextIO) -> None:
        self._reactor = reactor
        self._options = options
        self._token = token
        self._out = out
        self._err = err
        self._address = Address(options.url)
        self._requests = Requests(reactor)

    async def run(self) -> int:
        """Runs it; returns the exit code.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        command: str = self._options.command
        if command == "events":
            command = self._options.events_command
        match command:
            case "top":
                return await self._top()
            case "sessions":
                return await self._sessions()
            case "trace":
                return await self._trace(TraceRequest(id="t", session_id=self._options.session))
            case "tail":
                return await self._trace(TraceRequest(id="t"))
            case _:
                return await self._publish()

    async def _top(self) -> int:
        """Shows the overview, until interrupted."""
        options, console = self._options, Console(file=self._out)
        live = self._out.isatty() and not options.json and not options.once and not console.is_dumb_terminal
        screen = Live(console=console, auto_refresh=False, screen=True) if live else None
        known: list[AdminInfo] = []
        finished: list[bool] = []

        def show(message: AdminMessage) -> None:
            if isinstance(message, AdminHello):
                known[:] = [message.info]
            if not isinstance(message, OverviewMessage) or finished:
                return
            info = known[0] if known else None
            if screen is not None:
                screen.update(overview_picture(message.overview, info), refresh=True)
            elif options.json:
                self._line(to_json(message.overview).decode())
            elif options.once:
                console.print(overview_picture(message.overview, info))
            else:
                self._line(overview_line(message.overview))
            if options.once:
                finished.append(True)
                following.cancel()

        if screen is not None:
            screen.start()
        try:
            following = Deferred.fromCoroutine(self._follow((), show))
            try:
                return await following
            except CancelledError:
                if finished:
                    return DONE
                raise
        finally:
            if screen is not None:
                screen.stop()

    async def _sessions(self) -> int:
        """Lists sessions, page by page, until there are as many as wanted."""
        options, rows, cursor = self._options, list[SessionRow](), None
        for _ in range(MAX_PAGES):
            left = options.limit - len(rows)
            query = {"search": options.search, "limit": str(min(left, MAX_LIMIT)), "cursor": cursor}
            answer = await self._requests.ask("GET", self._address.admin("sessions", **query), self._token)
            if isinstance(answer, Ending):
                return self._refused(answer)
            page = msgspec.json.decode(answer, type=SessionPage)
            rows += page.sessions
            cursor = page.next
            if cursor is None or len(rows) >= options.limit:
                break
        if options.json:
            for row in rows[: options.limit]:
                self._line(to_json(row).decode())
        elif rows:
            Console(file=self._out, width=None if self._out.isatty() else 200).print(
                sessions_table(rows[: options.limit])
            )
        else:
            self._say("no session matches" if options.search else "there are no sessions")
        return DONE

    async def _trace(self, request: TraceRequest) -> int:
        """Prints the trace of a session, or all events, until interrupted."""

        def show(message: AdminMessage) -> None:
            if isinstance(message, AdminError):
                self._say(f"the server answered {message.code}: {message.message}")
            if not isinstance(message, TraceMessage):
                return
            for entry in message.entries:
                self._line(to_json(entry).decode() if self._options.json else trace_line(entry))
            if message.dropped:
                self._say(f"{message.dropped} entries were left out: they came too fast")

        if request.session_id is not None:
            url = self._address.admin("sessions", str(request.session_id))
            found = await self._requests.ask("GET", url, self._token)
            if isinstance(found, Ending) and found.kind is EndingKind.REFUSED:
                return self._refused(found)  # such as a session that there is not, of which nothing would ever come.
        return await self._follow((request,), show)

    async def _publish(self) -> int:
        """Posts the events of a file."""
        name = self._options.file
        try:
            body = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"cannot read {name}: {error.strerror}") from error
        kind = "application/json" if _is_json(body) else "application/x-ndjson"
        answer = await self._requests.ask("POST", self._address.events(), self._token, body, media_type=kind)
        if isinstance(answer, Ending):
            return self._refused(answer)
        if self._options.json:
            self._line(answer.decode())
        found = msgspec.json.decode(answer, type=EventsResponse)
        if not self._options.json:
            self._line(f"{found.accepted} accepted, {found.duplicates} duplicates, {len(found.rejected)} rejected")
            for each in found.rejected:
                self._say(f"event {each.index} is rejected: {each.error}")
        return REJECTED if found.rejected else DONE

    async def _follow(self, requests: tuple[Request, ...], show: Callable[[AdminMessage], None]) -> int:
        link = AdminLink(self._reactor, self._address, self._token, requests, show)
        return self._refused(await link.follow(self._options.patience, self._waiting))

    def _waiting(self, delay: float, ending: Ending) -> None:
        self._say(f"{ending.reason}; next attempt in {delay:.1f} s")

    def _refused(self, ending: Ending) -> int:
        """Prints why the command ended, and what to do."""
        hints = {
            "404": "is the server started with --dashboard off, or --dashboard-http for another port?",
            "403": "craftnet token --scope crafting:admin makes a token that may look",
            "401": "the token is not valid here: was it made with the server's secret, and has it expired?",
        }
        hint = next((text for status, text in hints.items() if f" {status}" in ending.reason), None)
        self._say(ending.reason + (f" ({hint})" if hint else ""))
        return REFUSED

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _say(self, text: str) -> None:
        print(f"craftnet: {text}", file=self._err, flush=True)


def _is_json(body: bytes) -> bool:
    """Whether a body is one JSON value; otherwise it has one event a line."""
    try:
        msgspec.json.decode(body)
    except MALFORMED:
        return False
    return True
