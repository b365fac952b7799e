from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.errors import BadDatagram
from craftnet.protocols import codec, message_vectors, vectors
from craftnet.protocols.records import Kind, ProgressRecord
from craftnet.protocols.udp.channel import Channel
from craftnet.protocols.udp.keys import HandshakeKey
from craftnet.protocols.udp.packing import PACKINGS

FILE = Path(craftnet.__file__).parent.parent / "protocol" / "vectors.json"


class VectorTests(SynchronousTestCase):
    """protocol/vectors.json, read as a stranger reads it, and written as we write it."""

    def setUp(self) -> None:
        if not FILE.exists():
            raise SkipTest("not run from the repository")
        self.file: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))

    def _octets(self, name: str) -> bytes:
        return bytes.fromhex(self.file[name])

    def test_up_to_date(self) -> None:
        """Else: python -m craftnet.protocols.vectors > protocol/vectors.json"""
        self.assertEqual(self.file, json.loads(json.dumps(vectors.document())))

    def test_handshake_by_hand(self) -> None:
        """With nothing of ours but the file."""
        key = bytes.fromhex(self.file["keys"]["handshake"])
        for entry in self.file["handshake"]:
            datagram = bytes.fromhex(entry["datagram"])
            self.assertEqual(hmac.digest(key, datagram[:-16], "sha256")[:16], datagram[-16:])
            self.assertEqual(datagram[1:5].hex(), self.file["connection_id"])
            self.assertEqual(datagram[5:21].hex(), self.file["client_nonce"])

    def test_sealed_by_hand(self) -> None:
        for entry in self.file["sealed"]:
            keys = self.file["keys"][entry["from"]][entry["generation"]]
            nonce = int(keys["iv"], 16) ^ entry["sequence"]
            header, content = bytes.fromhex(entry["header"]), bytes.fromhex(entry["content"])
            ciphertext = AESGCM(bytes.fromhex(keys["key"])).encrypt(nonce.to_bytes(12, "big"), content, header)
            self.assertEqual((header + ciphertext).hex(), entry["datagram"], entry["name"])

    def test_handshake_by_the_code(self) -> None:
        key = HandshakeKey.of(self._octets("secret"))
        decoders = {"HELLO": codec.decode_hello, "CHALLENGE": codec.decode_challenge, "RESPONSE": codec.decode_response}
        for entry in self.file["handshake"]:
            decoded: Any = decoders[entry["kind"]](key.verify(bytes.fromhex(entry["datagram"])))
            self.assertEqual(decoded.client_nonce, self._octets("client_nonce"))

    def test_sealed_by_the_code(self) -> None:
        for entry in self.file["sealed"]:
            header, ciphertext = bytes.fromhex(entry["datagram"])[:7], bytes.fromhex(entry["datagram"])[7:]
            phase, kind, _, low = codec.decode_sealed_header(header)
            self.assertEqual((phase, kind.name), (entry["generation"] & 1, entry["kind"]))
            self.assertEqual(low, entry["sequence"] & 0xFFFF)
            key = vectors.traffic_key(entry["from"], entry["generation"])
            content = key.open(entry["sequence"], header, ciphertext)
            self.assertEqual(content.hex(), entry["content"])
            decoded = vectors.DECODERS[kind](content[codec.ACKNOWLEDGEMENT_SIZE :])
            self.assertEqual(json.loads(json.dumps(vectors.described(decoded))), entry["decoded"], entry["name"])

    def test_states(self) -> None:
        for entry in self.file["states"]:
            records = codec.decode_state(bytes.fromhex(entry["body"]))
            self.assertEqual(tuple(records), vectors.STATES[entry["name"]])

    def test_messages(self) -> None:
        for entry, arrival in zip(self.file["messages"], message_vectors.MESSAGES.values(), strict=True):
            if arrival.compression not in PACKINGS:
                continue
            *before, whole = message_vectors.received(arrival)
            self.assertEqual(before, [None] * len(before), entry["name"])
            assert whole is not None
            self.assertEqual((whole.octets.hex(), whole.sequence), (entry["content"], entry["counts_as"]))
            self.assertEqual(tuple(codec.decode_state(whole.octets)), message_vectors.RECORDS)

    def test_malformed_messages(self) -> None:
        for entry, (arrival, outcome) in zip(
            self.file["malformed_messages"], message_vectors.MALFORMED.values(), strict=True
        ):
            if arrival.compression not in PACKINGS:
                continue
            received = message_vectors.received(arrival)
            for _ in arrival.parts[:-1]:
                self.assertIsNone(next(received), entry["name"])
            error = self.assertRaises(BadDatagram, next, received)
            self.assertEqual((error.outcome, entry["outcome"]), (outcome, outcome), entry["name"])

    def test_posted(self) -> None:
        for entry, record in zip(self.file["posted"], vectors.POSTED, strict=True):
            decode = codec.decode_progress if isinstance(record, ProgressRecord) else codec.decode_materials
            self.assertEqual(decode(bytes.fromhex(entry["octets"])), record)

    def _refused(self, entry: dict[str, str], decode: Any, octets: str) -> None:
        error = self.assertRaises(BadDatagram, decode, bytes.fromhex(octets))
        self.assertEqual(error.outcome, entry["outcome"], entry["name"])

    def test_malformed_states(self) -> None:
        for entry in self.file["malformed_states"]:
            self._refused(entry, codec.decode_state, entry["body"])

    def test_malformed_bodies(self) -> None:
        for entry in self.file["malformed_bodies"]:
            self._refused(entry, vectors.DECODERS[Kind[entry["kind"]]], entry["body"])

    def _channel(self) -> Channel:
        """A client's, that has sealed one datagram."""
        channel = Channel.of(vectors.CONNECTION_ID, vectors.traffic_key("client", 0), vectors.traffic_key("server", 0))
        channel.seal(Kind.RESYNC)
        return channel

    def test_malformed_datagrams(self) -> None:
        """Each to a channel of its own: what is authentic counts as received, whatever it says."""
        _, _, first = vectors.sealed("server", 0, 1, Kind.HEARTBEAT, vectors.SEALED[1][5])
        for entry in self.file["malformed_datagrams"]:
            channel = self._channel()
            channel.open(first)
            self._refused(entry, channel.open, entry["datagram"])

    def test_arrivals(self) -> None:
        """One channel takes them in turn."""
        channel = self._channel()
        for entry in self.file["arrivals"]:
            if entry["outcome"] == "accepted":
                opened = channel.open(bytes.fromhex(entry["datagram"]))
                self.assertEqual(opened.sequence, entry["sequence"], entry["name"])
            else:
                self._refused(entry, channel.open, entry["datagram"])
