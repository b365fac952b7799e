"""The Wireshark dissector, in tshark; skipped where that is not installed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.protocols.udp.core.keys import server_key
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind

ROOT = Path(craftnet.__file__).parent.parent
SCRIPT = ROOT / "clients" / "wireshark" / "craftnet.lua"
PORT = 8082
RAW_IP = 101
"""The link type of captured IP packets without a frame around them."""


def packet(datagram: bytes, *, from_server: bool, port: int = PORT) -> bytes:
    """An IPv4 packet with it; `port` is the server's."""
    ports = (port, 40000) if from_server else (40000, port)
    udp = struct.pack(">HHHH", *ports, 8 + len(datagram), 0) + datagram
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1") + udp


def capture(packets: list[bytes]) -> bytes:
    """A pcap file."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)
    return head + b"".join(struct.pack("<IIII", k, 0, len(each), len(each)) + each for k, each in enumerate(packets))


class DissectorTests(SynchronousTestCase):
    """The datagrams of vectors.json, as captured."""

    def setUp(self) -> None:
        """Look for the program."""
        if shutil.which("tshark") is None:
            raise SkipTest("tshark is not installed")
        self.vectors: dict[str, Any] = json.loads((ROOT / "protocol" / "vectors.json").read_bytes())

    def dissect(self, packets: list[bytes], *options: str, keys: bool) -> str:
        """What tshark says of the packets in full."""
        path = Path(self.mktemp())
        path.write_bytes(capture(packets))
        keylog = Path(self.mktemp())
        identifier = self.vectors["connection_id"]
        keylog.write_text(
            "".join(
                f"CRAFTNET_UDP_1 {identifier} {sender} {generation} {each['key']} {each['iv']}\n"
                for sender in ("client", "server")
                for generation, each in enumerate(self.vectors["keys"][sender])
            )
            if keys
            else ""
        )
        command = [
            "tshark",
            "-r",
            str(path),
            "-X",
            f"lua_script:{SCRIPT}",
            "-o",
            f"craftnet.keylog:{keylog}",
            *options,
            "-V",
        ]
        environment = {**os.environ, "HOME": str(Path(self.mktemp()))}
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("Lua Error", run.stdout + run.stderr)
        return run.stdout

    def test_handshake(self) -> None:
        """Everything in it can be read without a key."""
        datagrams = [bytes.fromhex(each["datagram"]) for each in self.vectors["handshake"]]
        said = self.dissect([packet(each, from_server=each[0] == 0x42) for each in datagrams], keys=False)
        for kind in ("HELLO", "CHALLENGE", "RESPONSE"):
            self.assertIn(f"craftnet {kind}", said)
        self.assertEqual(said.count(f"client_nonce: {self.vectors['client_nonce']}"), 3)

    def sealed(self) -> list[bytes]:
        """All sealed datagrams of the vectors."""
        return [
            packet(bytes.fromhex(each["datagram"]), from_server=each["from"] == "server")
            for each in self.vectors["sealed"]
        ]

    def test_another_port(self) -> None:
        """The preference moves the dissector to it."""
        challenge = bytes.fromhex(self.vectors["handshake"][1]["datagram"])
        packets = [packet(challenge, from_server=True, port=18082)]
        self.assertNotIn("craftnet CHALLENGE", self.dissect(packets, keys=False))
        self.assertIn("craftnet CHALLENGE", self.dissect(packets, "-o", "craftnet.port:18082", keys=False))

    def test_without_keys(self) -> None:
        """The header is there, and nothing else."""
        said = self.dissect(self.sealed(), keys=False)
        self.assertEqual(said.count("Sealed content"), len(self.vectors["sealed"]))
        self.assertNotIn("Acknowledgement", said)

    def test_sealed(self) -> None:
        """Datagrams open, across key rotations, but for those that are far from all that the capture has."""
        said = self.dissect(self.sealed(), keys=True)
        near = [each for each in self.vectors["sealed"] if each["sequence"] < 65536]
        self.assertEqual(said.count("[Whole sequence:"), len(near))
        for line in (
            "percent: 3333",
            "status: active (0)",
            "remaining_ms: 12500",
            "sent_us: 1800000000000000",
            "data: 3132333435363738",
            "reason: ended (1)",
        ):
            self.assertIn(line, said)

    def test_states(self) -> None:
        """The records of a STATE, as one that the server could have sent."""
        secret, *nonces = (bytes.fromhex(self.vectors[name]) for name in ("secret", "client_nonce", "server_nonce"))
        key = server_key(secret, *nonces)
        packets = []
        for sequence, each in enumerate(self.vectors["states"], start=1):
            header = codec.encode_sealed_header(0, DatagramKind.STATE, int(self.vectors["connection_id"], 16), sequence)
            content = codec.encode_acknowledgement(0, 0) + bytes.fromhex(each["body"])
            packets.append(packet(header + key.seal(sequence, header, content), from_server=True))
        said = self.dissect(packets, keys=True)
        self.assertNotIn("Not as PROTOCOL.md says", said)
        for line in (
            "Text: recipe",
            "material_id: 00000000-0000-0000-0000-000000000011",
            "Change: row=3 quantity=900",
            "Change: row=0 quantity=0 quality=0 no problem",
            "required_quality=60",
            "Text: 6c0ffee5",
            "session: 255",
        ):
            self.assertIn(line, said)

    def messages(self, group: str, name: str, order: list[int] | None = None) -> list[bytes]:
        """The parts of a message of the vectors, sealed as the server does; `order`: in which they were captured."""
        secret, *nonces = (bytes.fromhex(self.vectors[each]) for each in ("secret", "client_nonce", "server_nonce"))
        key = server_key(secret, *nonces)
        packets = []
        (vector,) = (each for each in self.vectors[group] if each["name"] == name)
        for part in vector["parts"]:
            identifier, sequence = int(self.vectors["connection_id"], 16), part["sequence"]
            header = codec.encode_sealed_header(0, DatagramKind.MESSAGE, identifier, sequence % 65536)
            content = codec.encode_acknowledgement(0, 0) + bytes.fromhex(part["body"])
            packets.append(packet(header + key.seal(sequence, header, content), from_server=True))
        return [packets[number] for number in order or range(len(packets))]

    def test_messages(self) -> None:
        """One of several parts is reassembled and decompressed, in whatever order they were captured."""
        whole = self.dissect(self.messages("messages", "LZ4, one part"), keys=True)
        rows = whole.count("material_id:")
        self.assertGreater(rows, 2)
        self.assertNotIn("Part in", whole)
        for order in ([0, 1, 2], [2, 0, 1]):
            packets = self.messages("messages", "three parts", order)
            said = self.dissect(packets, keys=True)
            self.assertEqual(said.count("material_id:"), rows)
            last = said[said.index("Frame 3:") :]
            self.assertEqual(last.count("Part in"), 3)
            self.assertEqual(last.count("material_id:"), rows)
            both = self.dissect(packets, "-2", keys=True)
            self.assertEqual(both.count("Reassembled in"), 2)

    def test_message_of_which_a_part_is_missing(self) -> None:
        """Its parts are shown as they are; an older message does not disturb a newer one."""
        said = self.dissect(self.messages("messages", "three parts")[:2], keys=True)
        self.assertEqual((said.count("Compressed content"), said.count("material_id:")), (2, 0))
        newer = "a newer message after one of which a part was lost"
        self.assertIn("material_id:", self.dissect(self.messages("messages", newer), keys=True))

    def test_messages_that_are_malformed(self) -> None:
        """Blocks that do not decompress are marked; a capture does not say what the two ends agreed on."""
        for vector in self.vectors["malformed_messages"]:
            said = self.dissect(self.messages("malformed_messages", vector["name"]), keys=True)
            self.assertIn("craftnet MESSAGE", said)
            if vector["outcome"] == "garbled":
                self.assertNotIn("material_id:", said, vector["name"])
                self.assertIn("Not as PROTOCOL.md says", said, vector["name"])
