from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet
from craftnet.contract.position import covers_materials
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.keys import HandshakeKey, SessionToken
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.udp.vectors import document, messages
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind, ProgressRecord
from craftnet.tests.support.samples import NOW

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
        """Else: python -m craftnet.protocols.udp.vectors > protocol/vectors.json"""
        self.assertEqual(self.file, json.loads(json.dumps(document.document())))

    def test_handshake_by_hand(self) -> None:
        """With nothing of ours but the file."""
        key = bytes.fromhex(self.file["keys"]["handshake"])
        for entry in self.file["handshake"]:
            datagram = bytes.fromhex(entry["datagram"])
            self.assertEqual(hmac.digest(key, datagram[:-16], "sha256")[:16], datagram[-16:])
            self.assertEqual(datagram[1:5].hex(), self.file["connection_id"])
            self.assertEqual(datagram[5:21].hex(), self.file["client_nonce"])

    def test_key_exchange_by_hand(self) -> None:
        vectors = self.file["key_exchange"]
        private = MLKEM768PrivateKey.from_seed_bytes(bytes.fromhex(vectors["seed"]))
        key = bytes.fromhex(vectors["encapsulation_key"])
        self.assertEqual(private.public_key().public_bytes_raw(), key)
        for entry in vectors["exchanges"]:
            ciphertext, shared = bytes.fromhex(entry["ciphertext"]), bytes.fromhex(entry["shared"])
            self.assertEqual(private.decapsulate(ciphertext), shared, entry["name"])
            transcript = sha256(self._octets("connection_id") + key + ciphertext).digest()
            secret = HKDF(SHA256(), 32, None, b"craftnet udp 1 mlkem768" + transcript).derive(
                self._octets("secret") + shared
            )
            self.assertEqual(secret.hex(), entry["secret"], entry["name"])
            name = self._octets("connection_id") + HKDF(SHA256(), 32, None, b"craftnet udp 1 name").derive(secret)
            self.assertEqual(urlsafe_b64encode(name).decode().rstrip("="), entry["naming_token"])

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
            key = document.traffic_key(entry["from"], entry["generation"])
            content = key.open(entry["sequence"], header, ciphertext)
            self.assertEqual(content.hex(), entry["content"])
            decoded = document.DECODERS[kind](content[codec.ACKNOWLEDGEMENT_SIZE :])
            self.assertEqual(json.loads(json.dumps(document.described(decoded))), entry["decoded"], entry["name"])

    def test_states(self) -> None:
        for entry in self.file["states"]:
            records = codec.decode_state(bytes.fromhex(entry["body"]))
            self.assertEqual(tuple(records), document.STATES[entry["name"]])

    def test_messages(self) -> None:
        for entry, arrival in zip(self.file["messages"], messages.MESSAGES.values(), strict=True):
            if arrival.compression not in COMPRESSIONS:
                continue
            *before, whole = messages.received(arrival)
            self.assertEqual(before, [None] * len(before), entry["name"])
            assert whole is not None
            self.assertEqual((whole.octets.hex(), whole.sequence), (entry["content"], entry["counts_as"]))
            self.assertEqual(tuple(codec.decode_state(whole.octets)), messages.RECORDS)

    def test_malformed_messages(self) -> None:
        for entry, (arrival, outcome) in zip(self.file["malformed_messages"], messages.MALFORMED.values(), strict=True):
            if arrival.compression not in COMPRESSIONS:
                continue
            received = messages.received(arrival)
            for _ in arrival.parts[:-1]:
                self.assertIsNone(next(received), entry["name"])
            error = self.assertRaises(BadDatagram, next, received)
            self.assertEqual((error.outcome, entry["outcome"]), (outcome, outcome), entry["name"])

    def test_posted(self) -> None:
        for entry, record in zip(self.file["posted"], document.POSTED, strict=True):
            decode = codec.decode_progress if isinstance(record, ProgressRecord) else codec.decode_materials
            self.assertEqual(decode(bytes.fromhex(entry["octets"])), record)

    def _refused(self, entry: dict[str, str], decode: Any, octets: str) -> None:
        error = self.assertRaises(BadDatagram, decode, bytes.fromhex(octets))
        self.assertEqual(error.outcome, entry["outcome"], entry["name"])

    def test_malformed_posted(self) -> None:
        for entry in self.file["malformed_posted"]:
            self._refused(entry, codec.decode_progress, entry["octets"])

    def test_challenges(self) -> None:
        """To a client that has sent the HELLO; one client for all of them."""
        outcomes: list[str] = []
        nonces = iter([document.CLIENT_NONCE])
        token = SessionToken(document.CONNECTION_ID, document.SECRET)
        client = ClientConnection(token, {}, heartbeat=5.0, random=lambda size: next(nonces), count=outcomes.append)
        client.start(NOW)
        for entry in self.file["challenges"]:
            output = client.receive(bytes.fromhex(entry["datagram"]), NOW)
            self.assertEqual(
                (outcomes.pop(), bool(output.datagrams)), (entry["outcome"], entry["outcome"] == "accepted")
            )

    def test_completions_by_hand(self) -> None:
        """The one closest to newest + 1, but none below 0."""
        for entry in self.file["completions"]:
            expected, sequence = entry["newest"] + 1, entry["sequence"]
            self.assertEqual(sequence % 65_536, entry["low"])
            self.assertLessEqual(sequence - expected, 32_768 if expected > 32_768 else 65_535, entry)
            self.assertTrue(expected - sequence < 32_768, entry)
        first = [entry["sequence"] for entry in self.file["completions"] if not entry["newest"]]
        self.assertEqual(first, [1, 0, 32_769, 65_535])

    def test_positions(self) -> None:
        for entry in self.file["positions"]:
            there = covers_materials(entry["version"], entry["materials_version"])
            self.assertEqual(there, entry["there"], entry)

    def test_percentages_by_hand(self) -> None:
        """The model equals p(t) to a hundredth."""
        for entry in self.file["progress_at"]:
            progress, elapsed = entry["progress"], entry["at"] - entry["progress"]["anchor"]
            percent, remaining = progress["percent"], progress["remaining"]
            if progress["status"] == "completed":
                expected = 100.0
            elif progress["status"] == "active" and remaining is not None and elapsed > 0:
                expected = percent + (100 - percent) * (elapsed / remaining if remaining else 1)
            else:
                expected = percent
            expected = expected if progress["status"] == "completed" else min(expected, 99.99)
            self.assertAlmostEqual(entry["percent"], expected, places=3, msg=entry["name"])

    def test_heartbeats_by_hand(self) -> None:
        """Round trips by RFC 6298, offsets of the shortest of those that are samples."""
        expected = {
            "a clock that is 100 s ahead, 30 ms away, and answers after 2 s": (0.06, 0.18, 100.0),
            "what is echoed, and when it came": (0.25, 0.75, 50.125),
            "the sample with the shortest round trip gives the offset": (0.07, 0.5, 100.0),
            "only the last eight samples count": (0.0691, 0.2464, 100.03),
            "a clock that is set: what was measured before it says nothing any more": (0.055, 0.365, 3700.0),
            "an echo of what was never sent": (None, 1.0, None),
            "an echo of the one before": (0.5, 1.5, 100.0),
            "an older one comes late": (0.02, 0.1, 100.0),
            "a clock that was set back between two": (None, 1.0, None),
            "a round trip of less than nothing": (None, 1.0, None),
            "a round trip of more than a minute": (None, 1.0, None),
        }
        for entry in self.file["heartbeats"]:
            last = [step for step in entry["steps"] if "receives" in step][-1]
            self.assertEqual((last["smoothed"], last["timeout"], last["offset"]), expected[entry["name"]])
        self.assertEqual({entry["name"] for entry in self.file["heartbeats"]}, set(expected))

    def test_rotations_by_hand(self) -> None:
        for entry in self.file["rotations"]:
            self.assertEqual([step["generation"] for step in entry["steps"]], [0, 0, 1, 1, 2], entry["name"])

    def test_receptions_by_hand(self) -> None:
        """The results of some distinct cases; the file, which both clients check, covers the rest."""
        quantities = {
            "versions wrap around": [1, 6],
            "parts in whatever order, twice, problems first": [5, 7],
            "a part of a newer table begins it; one of an older that comes late is dropped": [6, 8],
            "differences and parts have one watermark": [4, 5],
            "a difference to the version that is held changes nothing": [9, 2],
            "parts with other totals": [1, 2],
            "parts that contradict the table that is held": [9, 2],
        }
        receptions = {entry["name"]: entry["steps"] for entry in self.file["receptions"]}
        for name, expected in quantities.items():
            materials = receptions[name][-1]["held"]["0"]["materials"]
            self.assertEqual([row["quantity"] for row in materials], expected, name)
        acks = [step["ack"] for step in receptions["an ACK names session 0, and those of whose tables was told"]]
        self.assertEqual(
            acks, ["00000000" + "0200000003", "00000000" + "0100000000", "00000000" + "0200000003", "00000000"]
        )
        reasons = [step["held"]["0"]["progress"] for step in receptions["parts of a reason that contradict each other"]]
        self.assertEqual([each["failure_reason"] for each in reasons], [None, None, None, "to low"])

    def test_malformed_states(self) -> None:
        for entry in self.file["malformed_states"]:
            self._refused(entry, codec.decode_state, entry["body"])

    def test_malformed_bodies(self) -> None:
        for entry in self.file["malformed_bodies"]:
            self._refused(entry, document.DECODERS[DatagramKind[entry["kind"]]], entry["body"])

    def _channel(self) -> PacketProtection:
        """A client's, that has sealed one datagram."""
        channel = PacketProtection.of(
            document.CONNECTION_ID, document.traffic_key("client", 0), document.traffic_key("server", 0)
        )
        channel.seal(DatagramKind.RESYNC)
        return channel

    def test_malformed_datagrams(self) -> None:
        """Each to a new connection: an authentic datagram counts as received, whatever it says."""
        _, _, first = document.sealed("server", 0, 1, DatagramKind.HEARTBEAT, document.SEALED[1][5])
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
