"""`craftnet dictionary`, from a server's traffic to a server that compresses with the result."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import msgspec
from lz4.block import decompress  # type: ignore[import-untyped]  # lz4 ships no annotations.
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import ADMIN
from craftnet.errors import ConfigurationError
from craftnet.operator.dictionary.command import dictionary
from craftnet.protocols.websocket.core.subprotocols import LZ4
from craftnet.server.build import build
from craftnet.tests.support.live import SECRET, LiveTestCase, in_thread, started, token
from craftnet.tests.support.processes import craftnet, running
from craftnet.tests.support.samples import PLAYER, SESSION


def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, and what is printed and reported."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = dictionary(arguments, {})
    return code, out.getvalue(), err.getvalue()


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def path(self, name: str, octets: bytes | None = None) -> str:
        """The path of a file there."""
        path = self.folder / name
        if octets is not None:
            path.write_bytes(octets)
        return str(path)

    def corpus(self, reason: str) -> str:
        """Messages with a long text that the dictionary of the package does not have."""
        lines = [json.dumps({"type": "crafting_failed", "n": n, "reason": reason}) for n in range(300)]
        return self.path(f"{reason[:5]}.ndjson", "\n".join(lines).encode())

    def test_capture(self) -> None:
        """What a workshop sends, without ids, readable by its owner alone."""
        with running(
            "--backend", "workshop:players=60", "--udp", "off", PORT="0", **{SECRET_VARIABLE: SECRET}
        ) as server:
            url = server.read_until(r"http://127\.0\.0\.1:\d+")[0]
            path = self.path("traffic.ndjson")
            capture = ("dictionary", "capture", path, "--url", url, "--seconds", "1s")
            done = craftnet(*capture, CRAFTNET_TOKEN=token(None, ADMIN))
            self.assertEqual((done.returncode, done.stderr.strip()), (0, ""), done.stdout)
            lines = Path(path).read_bytes().splitlines()
            self.assertIn(f"{len(lines):,} messages are in {path}", done.stdout)
            self.assertGreater(len(lines), 20)
            kinds = {msgspec.json.decode(line)["type"] for line in lines}
            self.assertIn("progress_update", kinds)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            done = craftnet(*capture, CRAFTNET_TOKEN=token(PLAYER))
            self.assertEqual(done.returncode, 1)
            self.assertIn("crafting:admin", done.stderr)

    def test_train_evaluate_publish(self) -> None:
        """Ids count up from the package's; nothing is overwritten; what saves too little is refused."""
        corpus, new = self.corpus("the furnace is too cold for this alloy"), self.path("new")
        code, out, _ = run("train", corpus, new)
        self.assertEqual((code, "the best of" in out), (0, True))
        self.assertIn(b"too cold for this alloy", Path(new).read_bytes())
        code, out, _ = run("evaluate", corpus, new, "--json")
        rows = {row["kind"]: row for row in json.loads(out)["rows"]}
        self.assertEqual((code, rows["all"]["messages"]), (0, 90))
        self.assertLess(rows["all"]["after"], rows["all"]["before"])
        code, out, _ = run("evaluate", corpus, new)
        self.assertIn("crafting_failed", out)
        folder = self.path("published")
        code, out, _ = run("publish", corpus, new, folder)
        self.assertEqual((code, Path(folder, "2.lz4dict").read_bytes()), (0, Path(new).read_bytes()))
        self.assertIn("--dictionary 2", out)
        code, _, err = run("publish", corpus, new, folder)
        self.assertEqual((code, os.listdir(folder)), (3, ["2.lz4dict"]))
        self.assertIn("it saves 0.0% beside dictionary 2", err)
        other = self.corpus("no hammer is at hand, and none can be borrowed")
        run("train", other, new)
        self.assertEqual(run("publish", other, new, folder)[0], 0)
        self.assertEqual(sorted(os.listdir(folder)), ["2.lz4dict", "3.lz4dict"])
        code, _, err = run("publish", corpus, new, folder, "--against", "2")
        self.assertEqual(code, 3)

    def test_help(self) -> None:
        for words in ((), ("capture",), ("train",), ("evaluate",), ("publish",)):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), self.assertRaises(SystemExit) as end:
                dictionary([*words, "--help"], {})
            self.assertEqual(end.exception.code, 0)
        self.assertIn("if it saves 5 % or more", out.getvalue())

    def test_mistakes(self) -> None:
        corpus = self.corpus("some reason")
        for arguments, words in (
            (("capture", corpus), "no token: set CRAFTNET_TOKEN"),
            (("train", corpus, "/nowhere/x"), "/nowhere/x cannot be written"),
            (("train", corpus, "x", "--max-size", "1"), "--max-size is 256 to 65536 bytes, not 1"),
            (("train", "/nowhere", "x"), "/nowhere cannot be read"),
            (("evaluate", corpus, "/nowhere"), "/nowhere cannot be read"),
            (("evaluate", corpus, self.path("empty", b"")), "is no dictionary: it has 0 bytes"),
            (("evaluate", corpus, corpus, "--against", "9"), "--against 9: There is no dictionary 9"),
        ):
            error = self.assertRaises(ConfigurationError, run, *arguments)
            self.assertIn(words, str(error))


class ServerTests(LiveTestCase):
    """A server with a dictionary of its operator."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.octets = b'"session_id":"","timestamp":"","progress_data":' * 3
        (self.folder / "2.lz4dict").write_bytes(self.octets)
        self.settings = replace(self.settings, dictionaries=str(self.folder), dictionary=2)
        super().setUp()

    async def test_served_and_used(self) -> None:
        response = await self.request("GET", "/ws/dictionaries/2")
        self.assertEqual((response.code, await response.content()), (200, self.octets))
        self.assertIn("immutable", response.headers.getRawHeaders("Cache-Control")[0])
        self.assertEqual((await self.request("GET", "/ws/dictionaries/1")).code, 200)
        response = await self.request("GET", "/ws/dictionaries/3")
        self.assertEqual((response.code, (await response.json())["details"]["dictionaries"]), (404, [1, 2]))
        await self.publish(started())
        peer = await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token(), subprotocols=[LZ4])
        frame = await in_thread(peer.connection.recv, timeout=10)
        assert isinstance(frame, bytes)
        self.assertEqual(frame[0], 2)
        message = decompress(frame[4:], uncompressed_size=int.from_bytes(frame[1:4], "big"), dict=self.octets)
        self.assertEqual(msgspec.json.decode(message)["type"], "progress_update")
        self.assertIn(f'encoding="{LZ4}"', await (await self.request("GET", "/metrics")).text())

    def test_mistakes(self) -> None:
        for changes, words in (
            ({"dictionary": 3}, "--dictionary 3: There is no dictionary 3; the dictionaries are: 1, 2."),
            ({"dictionaries": "/nowhere"}, "/nowhere cannot be read"),
        ):
            settings = replace(self.settings, **changes)
            error = self.assertRaises(ConfigurationError, build, settings, self.clock, {SECRET_VARIABLE: SECRET})
            self.assertIn(words, str(error))
