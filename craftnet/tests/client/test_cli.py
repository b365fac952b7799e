"""Tests for `craftnet.client.cli`."""

from __future__ import annotations

import base64
import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import cast
from uuid import UUID

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTCP
from twisted.internet.protocol import ProcessProtocol, Protocol, ServerFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet import __version__
from craftnet.access import development
from craftnet.access.development import sign_token
from craftnet.client.arguments import TOKEN_VARIABLE, parser
from craftnet.client.cli import WatchSetup, bearer, begin_watch, token_line
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials, from_file
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.clocks import steady
from craftnet.contract.messages import Status, to_json
from craftnet.errors import ConfigurationError
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import COMPLETE, NOW, OTHER_SESSION, PLAYER, PROGRESS, SESSION, message, progress
from craftnet.tests.support.scripted_server import Answer, Play, ScriptedServer

TOKEN = "header.payload.signature"
SECRET = "an-entirely-fixed-secret-of-48-octets-for-tests!"
FAILED = to_json(message("crafting_failed", progress_data=progress(40, Status.FAILED, 0)))


def shown(credentials: Credentials) -> str:
    """The token that a client would show."""
    tokens: list[str] = []
    Deferred.fromCoroutine(credentials.current(NOW)).addCallback(tokens.append)
    return tokens[0]


class Terminal(StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


def watch_options(*more: str, sessions: Sequence[UUID] = (SESSION,)) -> Namespace:
    """The arguments of `craftnet watch`."""
    return parser().parse_args(["watch", *map(str, sessions), "--player", str(PLAYER), *more])


class TokenTests(SynchronousTestCase):
    """`craftnet token`"""

    def token(self, *arguments: str, secret: str | None = SECRET) -> str:
        """Its output."""
        environ = {} if secret is None else {development.SECRET_VARIABLE: secret}
        return token_line(parser().parse_args(["token", *arguments]), environ, NOW)

    def claims(self, *arguments: str) -> dict[str, object]:
        """The claims of the token it prints."""
        payload = self.token(*arguments).split(".")[1]
        return cast("dict[str, object]", json.loads(base64.urlsafe_b64decode(payload + "==")))

    def test_for_a_player(self) -> None:
        claims = self.claims("--player", str(PLAYER))
        self.assertEqual((claims["sub"], claims["exp"]), (str(PLAYER), NOW + 8 * 3600))
        self.assertNotIn("scope", claims)

    def test_scopes_and_ttl(self) -> None:
        claims = self.claims("--scope", "crafting:publish", "--scope", "crafting:admin", "--ttl", "15m")
        self.assertEqual((claims["scope"], claims["exp"]), ("crafting:publish crafting:admin", NOW + 900))
        self.assertNotIn("sub", claims)

    def test_no_secret(self) -> None:
        error = self.assertRaises(ConfigurationError, self.token, "--player", str(PLAYER), secret=None)
        self.assertIn("CRAFTNET_JWT_SECRET is not set", str(error))
        self.assertIn("export CRAFTNET_JWT_SECRET=", str(error))

    def test_good_for_nothing(self) -> None:
        self.assertRaises(ConfigurationError, self.token)
        self.assertRaises(ConfigurationError, self.token, "--player", str(PLAYER), "--ttl", "0")
        self.assertRaises(ConfigurationError, self.token, "--player", str(PLAYER), secret="short")


class UsageTests(SynchronousTestCase):
    """Refusals before any connection."""

    def refused(self, *arguments: str) -> str:
        """argparse's answer to these arguments."""
        err = StringIO()
        self.patch(sys, "stderr", err)
        self.assertEqual(self.assertRaises(SystemExit, parser().parse_args, arguments).code, 2)
        return err.getvalue()

    def test_bad_arguments(self) -> None:
        self.assertIn("UUID", self.refused("watch", "x", "--player", str(PLAYER)))
        self.assertIn("--player", self.refused("watch", str(SESSION)))
        self.assertIn("15m", self.refused("token", "--ttl", "soon"))
        self.assertIn("COMMAND", self.refused())

    def test_the_token_comes_from_the_option_or_the_environment(self) -> None:
        environ = {TOKEN_VARIABLE: f"{TOKEN}\n"}
        self.assertEqual(shown(bearer(watch_options(), environ)), TOKEN)
        self.assertEqual(shown(bearer(watch_options("--token", "x.y.z"), environ)), "x.y.z")
        path = self.mktemp()
        Path(path).write_text("from.a.file\n")
        self.assertEqual(shown(bearer(watch_options("--token-file", path), environ)), "from.a.file")
        self.assertRaises(ConfigurationError, bearer, watch_options("--token-file", path, "--token", "x.y.z"), {})
        self.assertRaises(ConfigurationError, bearer, watch_options("--token-file", f"{path}-not"), {})

    def test_no_token(self) -> None:
        error = self.assertRaises(ConfigurationError, bearer, watch_options(), {})
        self.assertIn(TOKEN_VARIABLE, str(error))

    def test_a_token_that_would_break_the_header(self) -> None:
        for wrong in ("secret token", "secret\r\nX: y", "sécret"):
            error = self.assertRaises(ConfigurationError, bearer, watch_options("--token", wrong), {})
            self.assertNotIn("cret", str(error))


class FollowTests(SynchronousTestCase):
    """`craftnet watch` without a SESSION"""

    def test_no_fresh_token_for_now(self) -> None:
        """… between two crafts: it is asked for again later, as while a craft is watched."""
        path = Path(self.mktemp())
        path.write_text(sign_token(SECRET.encode(), PLAYER, (), 1.0, NOW))
        clock = SteppedClock(NOW + 2.0)
        credentials = from_file(str(path))
        path.unlink()
        means = WatchSetup(clock, watch_options(sessions=()), Address("http://127.0.0.1:1"), credentials)
        found = self.successResultOf(Deferred.fromCoroutine(means.sessions_under_way()))
        assert isinstance(found, Ending)
        self.assertIs(found.kind, EndingKind.LOST)
        self.assertIn("cannot obtain a fresh token", found.reason)


class WatchTests(TestCase):
    """`craftnet watch`"""

    timeout = 20

    def serve(self, *script: Answer | Play) -> str:
        """The URL of a server that plays this."""
        self.server = ScriptedServer(*script)
        self.addCleanup(self.server.stop)
        return self.server.url

    def terminal(self, kind: str) -> Terminal:
        """To write to, of the kind that the environment names."""
        known = os.environ.get("TERM", "")
        self.addCleanup(os.environ.update, TERM=known)
        os.environ["TERM"] = kind
        return Terminal()

    async def watch(
        self, url: str, *arguments: str, out: StringIO | None = None, sessions: Sequence[UUID] = (SESSION,)
    ) -> int:
        """The exit code; the output is in `out` and `err`."""
        self.out, self.err = out or StringIO(), StringIO()
        options = watch_options("--url", url, "--patience", "0", *arguments, sessions=sessions)
        clock = steady(reactor)
        code = await begin_watch(clock, options, {TOKEN_VARIABLE: TOKEN}, self.out, self.err)
        self.assertNotIn(TOKEN, self.out.getvalue() + self.err.getvalue())
        return code

    async def test_json(self) -> None:
        code = await self.watch(self.serve(Play([PROGRESS, COMPLETE], code=1000)), "--transport", "ws", "--json")
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        self.assertEqual(
            lines, [{**json.loads(PROGRESS), "transport": "ws"}, {**json.loads(COMPLETE), "transport": "ws"}]
        )
        self.assertEqual((code, self.err.getvalue()), (0, ""))

    async def test_lines_where_there_is_no_terminal(self) -> None:
        code = await self.watch(self.serve(Play([PROGRESS, FAILED], code=1000)), "--transport", "ws")
        self.assertEqual(code, 3)
        self.assertEqual(
            [line.partition(" ")[2] for line in self.out.getvalue().splitlines()],
            [" 40 % active, 0:30 to go", "failed (no reason given)"],
        )

    async def test_a_live_picture_on_a_terminal(self) -> None:
        url = self.serve(Play([PROGRESS, COMPLETE], code=1000))
        code = await self.watch(url, "--transport", "ws", out=self.terminal("xterm"))
        self.assertEqual(code, 0)
        self.assertIn("100.0 %", self.out.getvalue())

    async def test_lines_on_a_terminal_that_cannot_do_more(self) -> None:
        url = self.serve(Play([COMPLETE], code=1000))
        await self.watch(url, "--transport", "ws", out=self.terminal("dumb"))
        self.assertTrue(self.out.getvalue().endswith(" complete\n"))

    async def test_one_of_several_is_refused(self) -> None:
        refusal = Answer(403, b'{"code":403,"message":"The session is not yours."}')
        url = self.serve(refusal, refusal)
        code = await self.watch(url, "--transport", "ws", sessions=(SESSION, OTHER_SESSION))
        self.assertEqual(code, 1)
        said = {line.partition(":")[0] for line in self.err.getvalue().splitlines()}
        self.assertEqual(said, {f"craftnet {str(each)[:8]}" for each in (SESSION, OTHER_SESSION)})

    async def test_closed_in_order(self) -> None:
        code = await self.watch(self.serve(Play([PROGRESS], code=1000)), "--transport", "ws", "--json")
        self.assertEqual(code, 0)

    async def test_refused(self) -> None:
        url = self.serve(Answer(403, b'{"code":403,"message":"The session is not yours."}'))
        code = await self.watch(url, "--transport", "ws")
        self.assertEqual(
            (code, self.out.getvalue(), self.err.getvalue()),
            (1, "", "craftnet: the server answered 403: The session is not yours\n"),
        )

    async def test_unreachable(self) -> None:
        url = self.serve(Play())
        await self.server.stop()
        for transport in ("ws", "udp", "auto"):
            code = await self.watch(url, "--transport", transport)
            self.assertEqual((code, self.err.getvalue().count("\n")), (1, 1))
            self.assertTrue(self.err.getvalue().startswith("craftnet: cannot connect: "))

    async def test_auto_takes_websocket_when_there_is_no_udp(self) -> None:
        url = self.serve(Answer(503, b'{"code":503,"message":"UDP is off."}'), Play([COMPLETE], code=1000))
        code = await self.watch(url)
        self.assertEqual(code, 0)
        self.assertEqual([method for method, _, _ in self.server.requests], ["POST", "GET"])
        self.assertEqual(
            self.err.getvalue(), "craftnet: the server answered 503: UDP is off; trying another transport\n"
        )

    async def test_cancelled(self) -> None:
        url = self.serve(Play([PROGRESS]))
        out = self.terminal("xterm")
        options = watch_options("--url", url, "--transport", "ws")
        clock = steady(reactor)
        watching = begin_watch(clock, options, {TOKEN_VARIABLE: TOKEN}, out, StringIO())
        await until(lambda: self.server.requests)
        watching.cancel()
        await self.assertFailure(watching, CancelledError)
        self.assertTrue(out.getvalue().endswith("\x1b[?25h"), "the cursor is shown again")
        await until(lambda: self.server.close_codes)


class _Command(ProcessProtocol):
    """Runs the command; interrupts it, or stops reading, after its first line."""

    def __init__(self, *, then: str = "") -> None:
        self.then = then
        self.out = b""
        self.err = b""
        self.done = Deferred[int | None]()

    def outReceived(self, data: bytes) -> None:
        self.out += data
        if b"\n" in self.out and self.then:
            transport = cast(IProcessTransport, self.transport)
            then, self.then = self.then, ""
            if then == "interrupt":
                transport.signalProcess("INT")
            else:
                transport.closeStdout()

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        self.done.callback(cast(ProcessTerminated, reason.value).exitCode)


class _Silent(ServerFactory):
    """A server that answers no request."""

    def __init__(self) -> None:
        self.asked = Deferred[None]()

    def buildProtocol(self, addr: object) -> Protocol:
        """One that says when it is asked."""
        protocol = Protocol()
        protocol.dataReceived = lambda data: self.asked.callback(None)  # type: ignore[method-assign]  # nothing else is.
        return protocol


class ProcessTests(TestCase):
    """The command as a separate process."""

    timeout = 60

    def start(self, *arguments: str, then: str = "", environ: Mapping[str, str] | None = None) -> _Command:
        """The command, started."""
        command = _Command(then=then)
        cast(IReactorProcess, reactor).spawnProcess(
            command,
            sys.executable,
            [sys.executable, "-m", "craftnet.client.cli", *arguments],
            env={**os.environ, TOKEN_VARIABLE: TOKEN, **(environ or {})},
        )
        return command

    async def run_command(
        self, *arguments: str, then: str = "", environ: Mapping[str, str] | None = None
    ) -> tuple[int | None, str, str]:
        """Exit code, stdout and stderr."""
        command = self.start(*arguments, then=then, environ=environ)
        code = await command.done
        return code, command.out.decode(), command.err.decode()

    def watch_arguments(self, *script: Answer | Play) -> list[str]:
        """To watch a server that plays this."""
        server = ScriptedServer(*script)
        self.addCleanup(server.stop)
        watch = ["watch", str(SESSION), "--player", str(PLAYER), "--url", server.url]
        return [*watch, "--transport", "ws", "--json"]

    async def test_version(self) -> None:
        self.assertEqual(await self.run_command("--version"), (0, f"craftnet {__version__}\n", ""))

    async def test_wrong_usage(self) -> None:
        code, out, err = await self.run_command("watch", str(SESSION), "--player", str(PLAYER), "--url", "ftp://x")
        self.assertEqual((code, out, err.count("\n")), (2, "", 1))

    async def test_to_the_end(self) -> None:
        code, out, err = await self.run_command(*self.watch_arguments(Play([PROGRESS, FAILED])))
        self.assertEqual((code, out.count("\n"), err), (3, 2, ""))

    async def test_a_terminal_that_is_not_utf_8(self) -> None:
        """Replaces what the terminal cannot show; leaves JSON as UTF-8."""
        broken = replace(progress(40, Status.FAILED, 0), failure_reason="zerstört")
        failed = to_json(message("crafting_failed", progress_data=broken))
        environ = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        arguments = self.watch_arguments(Play([failed]), Play([failed]))
        code, out, err = await self.run_command(*arguments, environ=environ)
        self.assertEqual((code, err), (3, ""))
        self.assertIn("zerstört", out)
        arguments.remove("--json")
        code, out, err = await self.run_command(*arguments, environ=environ)
        self.assertEqual((code, err), (3, ""))
        self.assertIn("zerst?rt", out)

    async def test_interrupted(self) -> None:
        code, out, err = await self.run_command(*self.watch_arguments(Play([PROGRESS])), then="interrupt")
        self.assertEqual((code, out.count("\n"), err), (130, 1, ""))

    async def test_interrupted_during_a_request(self) -> None:
        """… for a player's sessions, of a server that does not answer."""
        silent = _Silent()
        port = cast(IReactorTCP, reactor).listenTCP(0, silent, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        command = self.start(
            "watch", "--player", str(PLAYER), "--url", f"http://127.0.0.1:{cast(IPv4Address, port.getHost()).port}"
        )
        await silent.asked
        cast(IProcessTransport, command.transport).signalProcess("INT")
        self.assertEqual(await command.done, 130, command.err)
        self.assertNotIn(b"Traceback", command.err)

    async def test_a_reader_that_goes_away(self) -> None:
        # Closed in order at the end of each connection, and the client would reconnect for ever, if it did not notice.
        arguments = self.watch_arguments(Play([PROGRESS], code=1001))
        code, _, err = await self.run_command(*arguments, then="close")
        self.assertEqual(code, 141)
        self.assertNotIn("Traceback", err)
