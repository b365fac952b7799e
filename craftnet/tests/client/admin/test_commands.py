"""The commands of administrators, on a whole service."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client.admin.commands import DONE, REFUSED, REJECTED, AdminCommands
from craftnet.client.arguments import parser
from craftnet.client.completion import script
from craftnet.clocks import steady
from craftnet.contract.admin.overview import Overview
from craftnet.errors import ConfigurationError
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.processes import SCRIPTS
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, RECIPE, SESSION


class BrokenPipe(StringIO):
    """Output whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class CommandTestCase(LiveTestCase):
    """A server, and commands for it."""

    def setUp(self) -> None:
        self.out, self.err = StringIO(), StringIO()
        super().setUp()

    def begin(self, *words: str, bearer: str | None = None, out: StringIO | None = None) -> Deferred[int]:
        """Starts a command; fires with its exit code."""
        options = parser().parse_args([*words, "--url", self.url, "--patience", "0"])
        bearer = token(None, ADMIN, PUBLISH) if bearer is None else bearer
        running = AdminCommands(steady(reactor), options, bearer, out or self.out, self.err).run()
        return Deferred.fromCoroutine(running)

    async def shows(self, wanted: Callable[[str], bool], *words: str) -> None:
        """A command prints what is wanted, and ends when it is interrupted."""
        running = self.begin(*words)
        await until(lambda: wanted(self.out.getvalue()) or running.called)
        running.cancel()
        with contextlib.suppress(CancelledError):
            await running
        self.assertTrue(wanted(self.out.getvalue()), self.out.getvalue() + self.err.getvalue())


class IPv6Tests(CommandTestCase):
    """A server at an IPv6 address, which stands in brackets in a Host header."""

    settings = replace(LiveTestCase.settings, http=r"tcp6:0:interface=\:\:1", udp="off")

    def setUp(self) -> None:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            raise SkipTest("this machine has no IPv6") from None
        super().setUp()

    async def test_top(self) -> None:
        self.assertEqual(await self.begin("top", "--once"), DONE, self.err.getvalue())
        await self.shows(lambda text: text.count("deliveries/s") > 1, "top")


class CommandTests(CommandTestCase):
    """Each of them."""

    async def test_top(self) -> None:
        self.assertEqual(await self.begin("top", "--once"), DONE)
        self.assertIn("connections", self.out.getvalue())
        self.out.truncate(0)
        self.assertEqual(await self.begin("top", "--once", "--json"), DONE)
        msgspec.json.decode(self.out.getvalue().lstrip("\0"), type=Overview)
        await self.shows(lambda text: text.count("deliveries/s") > 1, "top")

    async def test_sessions(self) -> None:
        self.assertEqual(await self.begin("sessions"), DONE)
        self.assertIn("there are no sessions", self.err.getvalue())
        await self.publish(started(), started(OTHER_SESSION))
        self.assertEqual(await self.begin("sessions", str(SESSION)[:8], "--json"), DONE)
        self.assertEqual(json.loads(self.out.getvalue())["session_id"], str(SESSION))
        self.assertEqual(await self.begin("sessions", str(RECIPE)), DONE)
        self.assertIn(str(OTHER_SESSION), self.out.getvalue())
        self.assertEqual(await self.begin("sessions", "kitchen"), REFUSED)
        self.assertIn("hexadecimal", self.err.getvalue())

    async def test_trace(self) -> None:
        await self.publish(started())
        player = await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token(PLAYER))
        await player.receive()
        running = self.begin("trace", str(SESSION))
        await until(lambda: self.service.feeds.subscriptions.hub.traced)
        pause: dict[str, Any] = {"session_id": str(SESSION), "pause_reason": "player_afk"}
        await self.publish(envelope("crafting.session.pause", pause))
        await until(lambda: self.out.getvalue().count("\n") >= 2)
        running.cancel()
        with contextlib.suppress(CancelledError):
            await running
        self.assertIn("crafting.session.pause accepted", self.out.getvalue())
        self.assertIn("progress_update", self.out.getvalue())

    async def test_trace_of_nothing(self) -> None:
        """It ends at once: nothing would ever come."""
        self.assertEqual(await self.begin("trace", str(uuid4())), REFUSED)
        self.assertIn("404", self.err.getvalue())

    async def test_events(self) -> None:
        tail = self.begin("events", "tail", "--json")
        await until(lambda: len(self.service.feeds.open) > 0)
        file = Path(self.mktemp())
        while not self.out.getvalue():  # the trace begins a moment after the connection.
            file.write_text("\n".join(json.dumps(started(uuid4())) for _ in range(2)))
            self.assertEqual(await self.begin("events", "publish", str(file), out=StringIO()), DONE)
            await until(lambda: True)
        tail.cancel()
        with contextlib.suppress(CancelledError):
            await tail
        self.assertEqual(json.loads(self.out.getvalue().splitlines()[0])["name"], "crafting.session.start")

    async def test_publish(self) -> None:
        file = Path(self.mktemp())
        file.write_text(json.dumps([started(), {"nonsense": 1}]))
        self.assertEqual(await self.begin("events", "publish", str(file)), REJECTED)
        self.assertIn("1 accepted, 0 duplicates, 1 rejected", self.out.getvalue())
        self.assertIn("event 1 is rejected", self.err.getvalue())
        missing = self.begin("events", "publish", self.mktemp())
        self.failureResultOf(missing, ConfigurationError)

    async def test_refusals_say_what_to_do(self) -> None:
        for words in (("top", "--once"), ("sessions",), ("trace", str(SESSION))):
            self.assertEqual(await self.begin(*words, bearer=token(PLAYER)), REFUSED)
            self.assertIn("--scope crafting:admin", self.err.getvalue())
        await self.service.stopService()
        self.assertEqual(await self.begin("top", "--once"), REFUSED)
        self.assertIn("cannot connect", self.err.getvalue())

    async def test_reader_gone(self) -> None:
        running = self.begin("top", "--json", out=BrokenPipe())
        with self.assertRaises(BrokenPipeError):
            await running


@cache
def bash_script() -> str:
    """What the command prints for bash."""
    line = [sys.executable, str(SCRIPTS / "craftnet"), "completion", "bash"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


class CompletionTests(SynchronousTestCase):
    """`craftnet completion`"""

    def completed(self, *words: str) -> list[str]:
        """What bash offers after these words, the last of which is incomplete."""
        line = " ".join(f"'{word}'" for word in ("craftnet", *words))
        ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _craftnet; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        shown = subprocess.run(["bash", "-c", f"{bash_script()}\n{ask}"], capture_output=True, text=True, check=True)
        self.assertEqual(shown.stderr, "")
        return shown.stdout.split()

    def test_bash(self) -> None:
        self.assertEqual(self.completed("tra"), ["trace"])
        self.assertEqual(self.completed("events", "p"), ["publish"])
        self.assertEqual(self.completed("watch", "--transport", "u"), ["udp"])
        self.assertEqual(self.completed("top", "--on"), ["--once"])
        self.assertEqual(self.completed("events", "tail", "--js"), ["--json"])
        self.assertEqual(self.completed("token", "ch"), ["check"])
        self.assertEqual(self.completed("token", "check", "--ro"), ["--route"])
        self.assertEqual(self.completed("token", "check", "--aut"), ["--auth"])
        self.assertEqual(self.completed("config", "--log-format", "js"), ["json"])
        self.assertEqual(self.completed("analyse", "er"), ["erase"])
        self.assertEqual(self.completed("analyse", "erase", "--player"), ["--player", "--players"])

    def test_other_shells(self) -> None:
        """zsh has bash's script; fish has one line for each word."""
        self.assertIn("bashcompinit", script(parser(), "zsh"))
        lines = script(parser(), "fish").splitlines()
        self.assertTrue(any("__fish_seen_subcommand_from top" in line and " -l once" in line for line in lines))
        self.assertTrue(all(line.startswith("complete -c craftnet") for line in lines))
