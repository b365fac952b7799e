"""PROTOCOL.md: its annotated trace is decrypted, its links lead somewhere, its lines are short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.protocols.udp.core.keys import HandshakeKey
from craftnet.protocols.udp.vectors.document import CONNECTION_ID, DECODERS, SECRET, traffic_key
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind

DOCUMENT = Path(craftnet.__file__).parent.parent / "PROTOCOL.md"
LINE_LENGTH = 100


class Step(NamedTuple):
    """One datagram of the trace; `content` is empty in the handshake."""

    kind: str
    sender: str
    size: int
    sequence: int
    datagram: bytes
    content: bytes


def octets(text: str) -> bytes:
    """The bytes of a block: `(475 × 00)` stands for as many zeros, blanks for nothing."""
    expanded = re.sub(r"\((\d+) × 00\)", lambda match: "00" * int(match[1]), text)
    return bytes.fromhex("".join(expanded.split()))


def trace(document: str) -> list[Step]:
    """The datagrams of the annotated trace, in order."""
    pattern = (
        r"### A\.\d+ (\w+), (client|server) to \w+\n\n(\d+) bytes(?:, sequence (\d+))?\.\n\n"
        r"```text\ndatagram (.*?)\n(?:content (.*?)\n)?```"
    )
    return [
        Step(kind, sender, int(size), int(sequence or 0), octets(datagram), octets(content or ""))
        for kind, sender, size, sequence, datagram, content in re.findall(pattern, document, re.DOTALL)
    ]


class ProtocolDocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not DOCUMENT.exists():
            raise SkipTest("not run from the repository")
        self.document = DOCUMENT.read_text(encoding="utf-8")
        self.steps = trace(self.document)

    def test_trace_is_one_connection(self) -> None:
        self.assertEqual(len(self.steps), self.document.count("\n### A."))
        self.assertEqual(
            [step.kind for step in self.steps[:3] + self.steps[-2:]], ["HELLO", "CHALLENGE", "RESPONSE", "CLOSE", "ACK"]
        )

    def test_handshake_has_valid_macs(self) -> None:
        key = HandshakeKey.of(SECRET)
        for step in self.steps[:3]:
            self.assertEqual(len(step.datagram), step.size)
            self.assertEqual(key.sign(step.datagram[:-16]), step.datagram)

    def test_sealed_datagrams_open(self) -> None:
        for step in self.steps[3:]:
            kind = DatagramKind[step.kind]
            header = codec.encode_sealed_header(0, kind, CONNECTION_ID, step.sequence)
            key = traffic_key(step.sender, 0)
            self.assertEqual(header + key.seal(step.sequence, header, step.content), step.datagram)
            self.assertEqual(len(step.datagram), step.size)
            DECODERS[kind](step.content[8:])

    def test_acknowledgements_are_those_of_the_trace(self) -> None:
        received: dict[str, set[int]] = {"client": set(), "server": set()}
        for step in self.steps[3:]:
            own = received[step.sender]
            newest = max(own, default=0)
            bits = sum(1 << bit for bit in range(32) if newest - 1 - bit in own)
            self.assertEqual(step.content[:8], codec.encode_acknowledgement(newest, bits), step)
            received["server" if step.sender == "client" else "client"].add(step.sequence)

    def test_links_lead_to_headings(self) -> None:
        headings = {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", self.document, re.MULTILINE)
        }
        links = set(re.findall(r"\]\(#([^)]+)\)", self.document))
        self.assertEqual(links - headings, set())

    def test_lines_are_short(self) -> None:
        """Rows of tables included."""
        prose = re.sub(r"```.*?```", "", self.document, flags=re.DOTALL)
        long = [line for line in prose.splitlines() if len(line) > LINE_LENGTH]
        self.assertEqual(long, [])
