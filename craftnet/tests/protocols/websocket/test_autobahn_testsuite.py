"""The Autobahn Testsuite's cases of frames, fragments, UTF-8, closing and limits (its chapters 1 to 7, 9 and 10).

`EchoTests` has them octet for octet, over a connection in memory that echoes. `SuiteTests` runs the suite itself where
it is installed, which needs Python 2.7:

    python2.7 -m pip install --target DIR autobahntestsuite==0.8.2
    CRAFTNET_WSTEST="python2.7 DIR" .venv/bin/trial craftnet.tests.protocols.websocket.test_autobahn_testsuite

Its chapters 12 and 13 are of compression, which is never negotiated
(`craftnet.tests.protocols.websocket.test_rfc6455`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import SkipTest

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.tests.support.echo_server import echo_factory
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.feed_wire import FeedWire
from craftnet.tests.support.samples import PLAYER

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
BAD_PAYLOAD = 1007
MASK = b"\x37\xfa\x21\x3d"

SUITE_VARIABLE = "CRAFTNET_WSTEST"
"""Names a Python 2.7 and the directory that the suite is installed in."""

RUN_SUITE = """
import site, sys
site.addsitedir(sys.argv[1])
sys.argv[1:] = ["-m", "fuzzingclient", "-s", sys.argv[2]]
from autobahntestsuite.wstest import run
run()
"""

HANDSHAKE = (
    f"GET /ws/queue/{PLAYER} HTTP/1.1\r\nHost: craft.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()

BOUNDARIES = (0, 1, 125, 126, 127, 128, 65535, 65536, 100_000)
"""Lengths about those at which the length of a frame's header changes, bytes."""


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    key = (MASK * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return bytes((fin << 7 | opcode,)) + length + MASK + masked


def frames(octets: bytes) -> list[tuple[int, bytes]]:
    """The opcode and payload of each frame of a server."""
    found = []
    while octets:
        size, start = octets[1], 2
        if size == 126:
            size, start = int.from_bytes(octets[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(octets[2:10], "big"), 10
        found.append((octets[0], octets[start : start + size]))
        octets = octets[start + size :]
    return found


def cut(octets: bytes, indexes: list[int]) -> list[bytes]:
    """The same octets in pieces."""
    edges = sorted({0, len(octets), *(folder % (len(octets) + 1) for folder in indexes)})
    return [octets[start:end] for start, end in pairwise(edges)] or [b""]


class EchoTests(SynchronousTestCase):
    def converse(self, *pieces: bytes) -> list[tuple[int, bytes]]:
        """The frames that an echoing connection sends when it receives these, one after another."""
        wire = FeedWire(echo_factory(SteppedClock()))
        wire.protocol.dataReceived(HANDSHAKE)
        self.assertEqual(wire.head(), "HTTP/1.1 101 Switching Protocols")
        for piece in pieces:
            if wire.protocol is not None:
                wire.protocol.dataReceived(piece)
        return frames(wire.value())

    def test_lengths(self) -> None:
        """Chapters 1 and 9: each length, whole and in pieces of 997 bytes."""
        for size in BOUNDARIES:
            for opcode in (TEXT, BINARY):
                sent = frame(opcode, b"*" * size)
                for pieces in ([sent], [sent[at : at + 997] for at in range(0, len(sent), 997)]):
                    self.assertEqual(self.converse(*pieces), [(0x80 | opcode, b"*" * size)])

    def test_many_pings(self) -> None:
        """Chapter 2: each is answered, in order."""
        sent = [frame(PING, b"payload-%d" % number) for number in range(10)]
        self.assertEqual(self.converse(*sent), [(0x80 | PONG, b"payload-%d" % number) for number in range(10)])

    def test_message_in_many_frames(self) -> None:
        """Chapters 9.5 to 9.8 and 10."""
        payload = bytes(range(256)) * 256
        parts = [payload[at : at + 1300] for at in range(0, len(payload), 1300)]
        sent = [frame(CONTINUATION if number else BINARY, part, fin=False) for number, part in enumerate(parts)]
        self.assertEqual(self.converse(*sent, frame(CONTINUATION, b"")), [(0x80 | BINARY, payload)])

    def test_frames_after_a_close(self) -> None:
        """Chapter 7.1: neither echoed nor answered."""
        close = frame(CLOSE, b"\x03\xe8bye")
        for late in (frame(TEXT, b"late"), frame(PING, b"late"), close, frame(TEXT, b"l", fin=False)):
            self.assertEqual(self.converse(frame(TEXT, b"x"), close, late), [(0x81, b"x"), (0x88, b"\x03\xe8bye")])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        st.sampled_from([TEXT, BINARY]),
        st.text(max_size=40).map(str.encode) | st.binary(max_size=40),
        st.lists(st.integers(0, 40), max_size=6),
        st.lists(st.integers(0, 400), max_size=20),
        st.sampled_from([None, b"", b"ping"]),
    )
    def test_any_message(
        self, opcode: int, payload: bytes, fragments: list[int], pieces: list[int], ping: bytes | None
    ) -> None:
        """Chapters 5 and 6: fragments, pings between them, pieces of TCP; text that is not UTF-8 is refused."""
        parts = cut(payload, fragments)
        sent = b"".join(
            (frame(PING, ping) if ping is not None and number else b"")
            + frame(CONTINUATION if number else opcode, part, fin=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        got = self.converse(*cut(sent, pieces))
        try:
            if opcode == TEXT:
                payload.decode()
        except UnicodeDecodeError:
            self.assertEqual((got[-1][0], got[-1][1][:2]), (0x88, BAD_PAYLOAD.to_bytes(2, "big")))
            self.assertNotIn(0x81, [first for first, _ in got])
        else:
            pongs = [] if ping is None else [(0x80 | PONG, ping)] * (len(parts) - 1)
            self.assertEqual(got, [*pongs, (0x80 | opcode, payload)])


class SuiteTests(SynchronousTestCase):
    timeout = 900

    def test_suite(self) -> None:
        """Every case that applies passes; three are informational."""
        configured = os.environ.get(SUITE_VARIABLE, "").split()
        if len(configured) != 2:
            raise SkipTest(f"{SUITE_VARIABLE} names no Python 2.7 and no directory of autobahntestsuite")
        python, directory = configured
        server = subprocess.Popen(
            [sys.executable, "-m", "craftnet.tests.support.echo_server"], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        url = f"ws://127.0.0.1:{server.stdout.readline().strip()}/ws/queue/{PLAYER}"
        with tempfile.TemporaryDirectory() as folder:
            specification: dict[str, Any] = {
                "outdir": f"{folder}/report",
                "servers": [{"agent": "craftnet", "url": url}],
                "cases": ["*"],
                "exclude-cases": ["12.*", "13.*"],
                "exclude-agent-cases": {},
            }
            Path(folder, "spec.json").write_text(json.dumps(specification))
            subprocess.run(
                [python, "-c", RUN_SUITE, directory, f"{folder}/spec.json"], check=True, stdout=subprocess.DEVNULL
            )
            results = json.loads(Path(folder, "report", "index.json").read_text())["craftnet"]
        self.assertEqual(len(results), 301)
        wrong = {
            case: (result["behavior"], result["behaviorClose"])
            for case, result in results.items()
            if not {result["behavior"], result["behaviorClose"]} <= {"OK", "INFORMATIONAL"}
        }
        self.assertEqual(wrong, {})
