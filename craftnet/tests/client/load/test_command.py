"""`craftnet load` as a user runs it: a separate process against a service on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec

from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client.arguments import TOKEN_VARIABLE
from craftnet.client.cli import main
from craftnet.limits.connection_limits import Limits
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.live import LiveTestCase, in_thread, token
from craftnet.tests.support.ports import reserved_port

TIME_LIMIT = 90.0
"""Seconds; only a broken program, or a very busy machine, needs them."""

FINISHED = (0, 3, 4)
"""Exit codes of a run that was measured to its end. Which of them, the machine decides: nothing here is timed."""


def load(url: str, *arguments: str, bearer: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "craftnet.client.cli", "load", "--url", url, *arguments],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env={**os.environ, TOKEN_VARIABLE: bearer, **more},
        cwd=tempfile.gettempdir(),
    )


class LoadTestCase(LiveTestCase):
    """A service to load."""

    timeout = 120

    async def load(
        self, *arguments: str, scopes: tuple[str, ...] = (PUBLISH, ADMIN), **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `craftnet load`."""
        return await in_thread(load, self.url, *arguments, bearer=token(None, *scopes), **more)

    async def measured(self, *arguments: str, **more: Any) -> dict[str, Any]:
        """The report of a short run with 6 watchers and 2 updates a second each, in which nothing was lost."""
        short = ("--watchers", "6", "--rate", "2", "--ramp", "0.1s", "--seconds", "1s", "--json")
        run = await self.load(*short, *arguments, **more)
        self.assertIn(run.returncode, FINISHED, run.stderr)
        report: dict[str, Any] = msgspec.json.decode(run.stdout)
        self.assertEqual(report["exit_code"], run.returncode)
        for found in report["transports"].values():
            self.assertEqual(found["connected"], found["watchers"])
            self.assertEqual((found["delivered"], found["lost"], found["rejected"]), (found["posted"], 0, 0))
            self.assertEqual((found["refused"], found["ended"]), ({}, {}))
            self.assertGreater(found["latency_ms"]["p50"], 0.0)
        return report


class LoadTests(LoadTestCase):
    async def test_websockets(self) -> None:
        report = await self.measured("--server-pid", str(os.getpid()))
        found = report["transports"]["ws"]
        self.assertEqual((found["watchers"], found["posted"]), (6, 12))
        self.assertGreater(found["octets"], 12 * 200)
        self.assertGreater(report["server"]["full"], 0)

    async def test_udp(self) -> None:
        report = await self.measured("--transport", "udp")
        self.assertEqual(report["transports"]["udp"]["posted"], 12)
        self.assertIsNone(report["server"])

    async def test_both_in_several_processes(self) -> None:
        report = await self.measured("--transport", "both", "--processes", "2")
        self.assertEqual({name: found["watchers"] for name, found in report["transports"].items()}, {"ws": 3, "udp": 3})

    async def test_for_people(self) -> None:
        run = await self.load("--watchers", "2", "--ramp", "0", "--seconds", "1s")
        self.assertIn(run.returncode, FINISHED, run.stderr)
        self.assertIn("ws: 2 of 2 connected; 2 of 2 updates delivered", run.stdout)
        self.assertRegex(run.stdout, r"kept +WebSocket updates lost +0\.00")
        self.assertIn("craftnet: ", run.stderr)

    async def test_a_token_that_may_not_watch(self) -> None:
        run = await self.load("--watchers", "2", "--ramp", "0", scopes=(PUBLISH,))
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("no watcher was admitted: 403", run.stderr)

    async def test_a_token_that_may_not_post(self) -> None:
        run = await self.load("--watchers", "2", "--ramp", "0", scopes=(ADMIN,))
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("/events was refused with 403", run.stderr)


class LimitedTests(LoadTestCase):
    """A server that takes fewer watchers than come."""

    settings = replace(LiveTestCase.settings, limits=Limits(connections=4))

    async def test_a_refused_watcher_fails_the_run(self) -> None:
        run = await self.load("--watchers", "6", "--ramp", "0", "--seconds", "1s")
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertRegex(run.stdout, r"BROKEN +WebSocket watchers not admitted +2\.00")
        self.assertIn("refused, 2 times: 429 ", run.stdout)


class IdleTests(LoadTestCase):
    """A server that hangs up sooner than the watchers are connected."""

    settings = replace(LiveTestCase.settings, idle_timeout=0.3)

    async def test_posts_go_on(self) -> None:
        report = await self.measured("--ramp", "1s")
        self.assertEqual(report["transports"]["ws"]["posted"], 12)


class TlsLoadTests(LoadTestCase):
    """Over TLS, which has another way of reading."""

    def setUp(self) -> None:
        """With its own certificate."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pem = (folder / "own.pem").absolute()
        self.pem.write_bytes(self_signed("localhost"))
        http = f"ssl:0:interface=127.0.0.1:privateKey={self.pem}:certKey={self.pem}"
        self.settings = replace(LiveTestCase.settings, http=http)
        super().setUp()

    async def test_websockets(self) -> None:
        report = await self.measured(SSL_CERT_FILE=str(self.pem))
        self.assertEqual(report["transports"]["ws"]["posted"], 12)


class UsageTests(LoadTestCase):
    async def test_connection_refused(self) -> None:
        run = await in_thread(load, f"http://127.0.0.1:{reserved_port(self)}", bearer=token(None, PUBLISH))
        self.assertEqual(run.returncode, 1)
        self.assertIn("cannot post to /events", run.stderr)

    def test_what_makes_no_sense(self) -> None:
        """It is refused before anything is started."""
        self.patch(os, "environ", {**os.environ, TOKEN_VARIABLE: token(None, PUBLISH, ADMIN)})
        for arguments, words in (
            (("--watchers", "0"), "must be 1 or more"),
            (("--rate", "21"), "must be from 0.01 to 20"),
            (("--percentile", "0"), "must be more than 0"),
            (("--seconds", "2h"), "at most 1h"),
            (("--batch", "2s"), "--batch must be from"),
            (("--server-pid", "999999999"), "cannot read /proc/999999999"),
            (("--url", "http://192.0.2.1:8080"), "--yes"),
        ):
            self.patch(sys, "argv", ["craftnet", "load", "--url", self.url, *arguments])
            with redirect_stderr(StringIO()) as said:
                try:
                    code: object = main()
                except SystemExit as refusal:  # of argparse.
                    code = refusal.code
            self.assertEqual(code, 2, arguments)
            self.assertIn(words, said.getvalue())

    async def test_help(self) -> None:
        run = await self.load("--help")
        for word in ("--watchers", "exit codes", "crafting:publish", "--yes", "--server-pid", "this machine's clock"):
            self.assertIn(word, run.stdout)
