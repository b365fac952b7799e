from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.key_update import OpeningKeys, SealingKeys
from craftnet.protocols.udp.core.keys import (
    OFTEN,
    HandshakeKey,
    SessionToken,
    client_key,
    handshake_material,
    server_key,
    traffic_material,
)
from craftnet.protocols.udp.core.packet_protection import PacketProtection

SECRET = bytes(range(32))


class SessionTokenTests(SynchronousTestCase):
    """The text clients get."""

    def test_round_trip(self) -> None:
        text = SessionToken(0xDEADBEEF, SECRET).text
        self.assertEqual(text, "3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
        parsed = SessionToken.parse(text)
        self.assertEqual((parsed.connection_id, parsed.secret), (0xDEADBEEF, SECRET))

    def test_other_texts_are_refused_without_repeating_them(self) -> None:
        for text in ("", "abc", "3q2-7wAB", "ü" * 48, SessionToken(1, SECRET).text + "AAAA"):
            error = self.assertRaises(ValueError, SessionToken.parse, text)
            self.assertEqual(str(error), "not a session_token")

    def test_it_does_not_show_its_secret(self) -> None:
        token = SessionToken(1, SECRET)
        self.assertNotIn(token.text, repr(token))
        self.assertNotIn(repr(SECRET), repr(token))


class HandshakeKeyTests(SynchronousTestCase):
    """The MAC of the handshake."""

    def test_only_what_was_signed_holds(self) -> None:
        key = HandshakeKey.of(SECRET)
        signed = key.sign(b"hello")
        self.assertEqual(len(signed), 5 + 16)
        self.assertEqual(key.verify(signed), b"hello")
        for index in range(len(signed)):
            forged = signed[:index] + bytes([signed[index] ^ 1]) + signed[index + 1 :]
            self.assertRaises(BadDatagram, key.verify, forged)
        self.assertRaises(BadDatagram, HandshakeKey.of(bytes(32)).verify, signed)
        self.assertRaises(BadDatagram, key.verify, b"")


class TrafficKeyTests(SynchronousTestCase):
    """AES-128-GCM with the protocol's nonces."""

    def setUp(self) -> None:
        self.key = client_key(SECRET, b"c" * 16, b"s" * 16)

    def test_vector(self) -> None:
        """The specification's example; another implementation must get the same."""
        self.assertEqual(self.key.seal(1, b"header", b"content").hex(), VECTOR)

    def test_only_what_was_sealed_opens(self) -> None:
        sealed = self.key.seal(1, b"header", b"content")
        self.assertEqual(self.key.open(1, b"header", sealed), b"content")
        self.assertRaises(BadDatagram, self.key.open, 2, b"header", sealed)
        self.assertRaises(BadDatagram, self.key.open, 1 + 2**32, b"header", sealed)
        self.assertRaises(BadDatagram, self.key.open, 1, b"headed", sealed)
        self.assertRaises(BadDatagram, self.key.open, 1, b"header", sealed[:-1] + bytes([sealed[-1] ^ 1]))

    def test_what_holds_secrets_hides_them(self) -> None:
        channel = PacketProtection.of(1, self.key, self.key.successor())
        shown = repr(
            [self.key, HandshakeKey.of(SECRET), SealingKeys.starting(self.key), OpeningKeys.starting(self.key), channel]
        )
        derived = traffic_material(SECRET, b"c" * 16 + b"s" * 16, b"client")
        for secret in (SECRET, *derived, b"".join(derived), handshake_material(SECRET)):
            self.assertNotIn(repr(secret)[2:-1], shown)

    def test_often_used_it_is_as_before(self) -> None:
        for sequence in range(3 * OFTEN):
            sealed = self.key.seal(sequence, b"header", b"content")
            self.assertEqual(client_key(SECRET, b"c" * 16, b"s" * 16).open(sequence, b"header", sealed), b"content")
            self.assertRaises(BadDatagram, self.key.open, sequence + 1, b"header", sealed)
            if sequence == 2 * OFTEN:
                self.key.rest()

    def test_only_what_is_used_often_keeps_the_large_object(self) -> None:
        for _ in range(2):
            for sequence in range(OFTEN):
                self.assertFalse(self.key.kept)
                self.key.seal(sequence, b"", b"")
            self.assertTrue(self.key.kept)
            self.key.rest()

    def test_direction_and_both_nonces_make_the_key(self) -> None:
        sealed = self.key.seal(1, b"", b"content")
        for other in (
            server_key(SECRET, b"c" * 16, b"s" * 16),
            client_key(SECRET, b"C" * 16, b"s" * 16),
            client_key(SECRET, b"c" * 16, b"S" * 16),
            client_key(bytes(32), b"c" * 16, b"s" * 16),
        ):
            self.assertRaises(BadDatagram, other.open, 1, b"", sealed)


VECTOR = "8a436aaac6e4f4acccf6cd643c973ae04255f17970be1e"
