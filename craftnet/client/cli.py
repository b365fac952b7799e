"""The `craftnet` command: watches sessions, issues development tokens, loads a server, verifies audit logs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO, TypeVar, cast
from uuid import UUID

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from craftnet.access import development
from craftnet.client.admin import arguments as admin_arguments
from craftnet.client.admin.commands import AdminCommands
from craftnet.client.arguments import TOKEN_VARIABLE, OtherCommand, parser
from craftnet.client.completion import script
from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.credentials import Credentials, checked, from_file
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.interfaces import IObserver, ITransport
from craftnet.client.core.player_watch import all_of, follow, labels, sessions_under_way
from craftnet.client.core.watch import Watch, WatchOutcome, WatchVerdict
from craftnet.client.load import command as load_command
from craftnet.client.load.posting import LoadFailed
from craftnet.client.output import wording
from craftnet.client.output.devices import DevicesOutput
from craftnet.client.output.line_output import LineOutput, QualityReporter, labelled, note
from craftnet.client.output.terminal import Screen
from craftnet.client.transports.device_feed import DeviceFeed, DeviceListener
from craftnet.client.transports.player_stream import PlayerStream
from craftnet.client.transports.udp import SharedUdpTransport
from craftnet.client.transports.udp_connections import UdpConnections
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import IClock, steady
from craftnet.errors import ConfigurationError
from craftnet.observe.audit import command as audit_command
from craftnet.runtime.backoff import Backoff

if TYPE_CHECKING:  # for annotations only.
    from twisted.internet.interfaces import IReactorCore

    class _Reactor(IReactorCore, IClock):
        """The parts of the reactor that the command needs."""


T = TypeVar("T")

UNREACHABLE, USAGE, FAILED, INTERRUPTED, NO_READER = 1, 2, 3, 130, 141
EXIT_CODES = {
    WatchVerdict.COMPLETED: 0,
    WatchVerdict.OVER: 0,
    WatchVerdict.REFUSED: UNREACHABLE,
    WatchVerdict.UNREACHABLE: UNREACHABLE,
    WatchVerdict.FAILED: FAILED,
}


def token_line(options: argparse.Namespace, environ: Mapping[str, str], now: float) -> str:
    """The token that `craftnet token` prints.

    Raises:
        ConfigurationError: there is no usable secret, or the token would authorise nothing.
    """
    secret = development.secret_from(environ)
    if secret is None:
        raise ConfigurationError(
            f"{development.SECRET_VARIABLE} is not set; set it to the server's secret, "
            f"or make one for both: export {development.SECRET_VARIABLE}=$(openssl rand -hex 32)"
        )
    if options.player is None and not options.scope:
        raise ConfigurationError("a token needs --player, or at least one --scope")
    if options.ttl <= 0:
        raise ConfigurationError("--ttl must be greater than 0")
    return development.sign_token(secret, options.player, options.scope, options.ttl, now)


def bearer(options: argparse.Namespace, environ: Mapping[str, str]) -> Credentials:
    """The credentials to watch with.

    Raises:
        ConfigurationError: there is no token, or it is malformed.
    """
    if options.token_file is not None:
        if options.token:
            raise ConfigurationError("--token and --token-file are both given; choose one")
        return from_file(options.token_file)
    return Credentials(_token(options, environ, f"set {TOKEN_VARIABLE}, or give --token-file or --token"))


def _token(options: argparse.Namespace, environ: Mapping[str, str], remedy: str) -> str:
    """The token from the command line or the environment."""
    token = str(options.token or environ.get(TOKEN_VARIABLE, "")).strip()
    if not token:
        raise ConfigurationError(f"no token: {remedy}")
    return checked(token)


class WatchSetup:
    """The transports for watching, and their credentials."""

    def __init__(self, reactor: IClock, options: argparse.Namespace, address: Address, token: Credentials) -> None:
        self._reactor = reactor
        self._options = options
        self._address = address
        self._token = token
        self._connections = UdpConnections(
            reactor,
            address,
            options.player,
            token,
            region=options.region,
            exchanges_keys=options.udp_key_exchange is not None,
            joined=None if options.sessions else lambda session_id: None,  # a later watch finds it.
            expected=not options.json,  # programs read what the authority says.
        )
        self._requests = Requests(reactor)

    def transports(self, session_id: UUID) -> Sequence[ITransport]:
        """The transports for a session, in order of preference."""
        websocket = WebSocketTransport(self._reactor, self._address, session_id, self._options.player, self._token)
        udp = SharedUdpTransport(self._connections, session_id)
        choices: dict[str, list[ITransport]] = {"ws": [websocket], "udp": [udp], "auto": [udp, websocket]}
        return choices[self._options.transport]

    async def sessions_under_way(self) -> Sequence[UUID] | Ending:
        """The player's current sessions, as the server lists them."""
        try:
            token = await self._token.current(self._reactor.wall())
        except Exception as error:  # the token source may raise anything, and may work again later.
            return endings.without_token(error)
        player_id = self._options.player
        feed, listing = self._address.player(player_id), self._address.sessions(player_id)
        found = await sessions_under_way(self._requests, feed, listing, token)
        return self._token.after(found) if isinstance(found, Ending) else found

    def device_feed(self, name: str, listener: DeviceListener) -> DeviceFeed:
        """What registers a device of the player."""
        return DeviceFeed(self._reactor, self._address, self._options.player, name, self._token, listener)

    def close(self) -> None:
        """Closes what is still open."""
        self._connections.close()

    def next_session(self) -> PlayerStream:
        """What waits for the player's next session."""
        url = self._address.player(self._options.player, "sse")
        return PlayerStream(self._reactor, url, lambda: self._token.current(self._reactor.wall()))


def begin_watch(
    reactor: IClock, options: argparse.Namespace, environ: Mapping[str, str], out: TextIO, err: TextIO
) -> Deferred[int]:
    """Starts watching and shows the result on `out`.

    Returns:
        A Deferred of the exit code. Cancelling it stops the watch.

    Raises:
        ConfigurationError: the options or the environment are invalid.
    """
    means = WatchSetup(reactor, options, Address(options.url), bearer(options, environ))
    viewer = Viewer(reactor, options, means, out, err)
    stop_devices = viewer.follow_devices()
    if not options.sessions:
        following = follow(
            reactor,
            means.sessions_under_way,
            viewer.watch,
            viewer.waiting,
            viewer.idle,
            Backoff(),
            options.patience,
            means.next_session().wait,
        )

        async def followed() -> int:
            try:
                return viewer.exit_code({"": await following})
            finally:
                means.close()

        return Deferred.fromCoroutine(followed()).addBoth(stop_devices)
    named = labels(options.sessions)
    watching = all_of([viewer.watch(session_id, label) for session_id, label in named.items()])
    watching.addBoth(stop_devices)
    return watching.addCallback(lambda outcomes: viewer.exit_code(dict(zip(named.values(), outcomes, strict=True))))


class Viewer:
    """Shows watches: a single one on a terminal as a live display, anything else line by line."""

    def __init__(
        self, reactor: IClock, options: argparse.Namespace, means: WatchSetup, out: TextIO, err: TextIO
    ) -> None:
        self._reactor = reactor
        self._options = options
        self._means = means
        self._out = out
        self._err = err
        self._screens = 0
        self._devices: DevicesOutput | None = None

    def follow_devices(self) -> Callable[[T], T]:
        """Registers the device and shows the others, if --device asks for it; returns what ends that."""
        name, feed = self._options.device, None
        if name is not None:
            self._devices = DevicesOutput(
                name, self._out, self._err, as_json=self._options.json, live=lambda: bool(self._screens)
            )
            feed = self._means.device_feed(name, self._devices)
            feed.start()

        def stop(result: T) -> T:
            if feed is not None:
                feed.stop()
            return result

        return stop

    def watch(self, session_id: UUID, label: str = "") -> Deferred[WatchOutcome]:
        """Watches a session.

        Arguments:
            label: distinguishes its lines from those of other sessions watched at the same time.
        """
        options, console = self._options, Console(file=self._out)
        screen = None
        if not label and not options.json and self._out.isatty() and not console.is_dumb_terminal:
            devices = self._devices
            screen = Screen(
                self._reactor, console, WatchedSession(session_id), lambda: "" if devices is None else devices.newest
            )
        figures = QualityReporter(session_id, self._reactor.seconds) if options.figures else None
        lines = LineOutput(self._out, self._err, as_json=options.json, label=label, figures=figures)
        observer: IObserver = screen or lines
        watch = Watch(
            self._reactor, session_id, self._means.transports(session_id), observer, Backoff(), options.patience
        )
        if screen is None:
            return watch.start()
        screen.start()
        self._screens += 1
        return watch.start().addBoth(self._leave, screen)

    def _leave(self, result: WatchOutcome, screen: Screen) -> WatchOutcome:
        self._screens -= 1
        screen.stop()
        return result

    def waiting(self, delay: float, ending: Ending) -> None:
        """Reports why nothing can be watched now, and when the next attempt follows."""
        print(f"craftnet: {note(delay, ending)}", file=self._err, flush=True)

    def idle(self) -> None:
        """Reports that the player has no session yet."""
        print("craftnet: this player has no craft in progress; waiting for the next one", file=self._err, flush=True)

    def exit_code(self, outcomes: Mapping[str, WatchOutcome]) -> int:
        """The exit code for the outcomes by label; explains it on stderr where it is not obvious."""
        for label, outcome in outcomes.items():
            if outcome.verdict not in (WatchVerdict.COMPLETED, WatchVerdict.FAILED):
                print(f"{labelled('craftnet', label)}: {wording.printable(outcome.reason)}", file=self._err)
        codes = {EXIT_CODES[outcome.verdict] for outcome in outcomes.values()}
        return next((code for code in (UNREACHABLE, FAILED) if code in codes), 0)


def make_printable(stream: TextIO, *, as_json: bool = False) -> None:
    """Prepares a stream for any text: UTF-8 for JSON (RFC 8259), else replacing what the terminal cannot show."""
    if isinstance(stream, TextIOWrapper):
        if as_json:
            stream.reconfigure(encoding="utf-8")
        else:
            stream.reconfigure(errors="replace")


def begin_admin(reactor: IClock, options: argparse.Namespace, token: str) -> Deferred[int]:
    """Starts a command of administrators; returns a Deferred of the exit code.

    Raises:
        ConfigurationError: the options are invalid.
    """
    return Deferred.fromCoroutine(AdminCommands(reactor, options, token, sys.stdout, sys.stderr).run())


def main(others: Mapping[str, OtherCommand] = MappingProxyType({})) -> int:
    """Runs a command of `craftnet` and returns its exit code.

    Arguments:
        others: further commands, for --help and completion, by their names.
    """
    make_printable(sys.stdout)
    make_printable(sys.stderr)
    line = parser(others)
    options = line.parse_args()
    try:
        if options.command == "token":
            print(token_line(options, os.environ, time.time()))
            return 0
        if options.command == "audit":
            return audit_command.run(options, os.environ, sys.stdout)
        if options.command == "completion":
            print(script(line, options.shell), end="")
            return 0
        make_printable(sys.stdout, as_json=options.json)
        if options.command == "load":
            token = _token(options, os.environ, f"set {TOKEN_VARIABLE}, or give --token; see craftnet load --help")
            return load_command.begin_load(options, token, sys.stdout, sys.stderr)
        if options.command in admin_arguments.COMMANDS:
            token = _token(options, os.environ, f"set {TOKEN_VARIABLE}, or give --token")
            return run_reactor(lambda reactor: begin_admin(reactor, options, token))
        return run_reactor(lambda reactor: begin_watch(reactor, options, os.environ, sys.stdout, sys.stderr))
    except ConfigurationError as error:
        print(f"craftnet: {error}", file=sys.stderr)
        return USAGE
    except LoadFailed as error:
        print(f"craftnet: {error}", file=sys.stderr)
        return UNREACHABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return reader_gone()


def reader_gone() -> int:
    """The exit code when the reader of stdout is gone, which the interpreter's last flush then does not notice."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NO_READER


def run_reactor(begin: Callable[[IClock], Deferred[int]]) -> int:
    """Runs the reactor until the Deferred of `begin` fires or the reactor stops. Returns the exit code."""
    from twisted.internet import reactor as installed  # importing it installs a reactor, so import it late.

    reactor = cast("_Reactor", steady(installed))
    results: list[int | Failure] = []
    interrupted = False
    watching = begin(reactor)

    def done(result: int | Failure) -> None:
        results.append(result)
        with suppress(ReactorNotRunning):  # it never started, or has already been stopped.
            reactor.stop()

    def shut_down() -> None:
        nonlocal interrupted
        interrupted = not results
        watching.cancel()

    watching.addBoth(done)
    if not results:
        # Before connections are closed, so that nothing tries to restore them.
        reactor.addSystemEventTrigger("before", "shutdown", shut_down)
        reactor.run()
    if interrupted:  # whatever the result: a cancelled request fails in many ways.
        return INTERRUPTED
    result = results[0]
    if isinstance(result, int):
        return result
    raise cast(BaseException, result.value)


if __name__ == "__main__":
    sys.exit(main())
