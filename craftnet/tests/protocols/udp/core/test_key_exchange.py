"""Tests for `craftnet.protocols.udp.core.key_exchange`."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.key_exchange import (
    CIPHERTEXT_SIZE,
    ENCAPSULATION_KEY_SIZE,
    Encapsulation,
    KeyExchange,
    combined_secret,
    is_supported,
    naming,
)
from craftnet.protocols.udp.core.keys import SessionToken

TOKEN = SessionToken(7, bytes(range(32)))


def text(octets: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


class ExchangeTests(SynchronousTestCase):
    def test_both_ends_agree(self) -> None:
        client = KeyExchange()
        server = Encapsulation.to(client.encapsulation_key)
        opened = client.finish(TOKEN, server.ciphertext)
        self.assertEqual((opened.connection_id, opened.secret), (7, server.secret(TOKEN)))
        self.assertNotIn(opened.secret, (TOKEN.secret, naming(TOKEN).secret))

    def test_a_repeated_request_gives_another_secret(self) -> None:
        """A replayed encapsulation key does not bring a secret back, even under the same token."""
        client = KeyExchange()
        first, second = (Encapsulation.to(client.encapsulation_key) for _ in range(2))
        self.assertNotEqual(first.ciphertext, second.ciphertext)
        self.assertNotEqual(first.secret(TOKEN), second.secret(TOKEN))

    def test_everything_counts(self) -> None:
        """The secret depends on both secrets, on the connection, and on both messages."""
        parts = (TOKEN, b"k" * 32, b"e" * ENCAPSULATION_KEY_SIZE, b"c" * CIPHERTEXT_SIZE)
        variants = {
            combined_secret(*parts),
            combined_secret(SessionToken(8, TOKEN.secret), *parts[1:]),
            combined_secret(SessionToken(7, bytes(32)), *parts[1:]),
            combined_secret(TOKEN, b"l" * 32, *parts[2:]),
            combined_secret(TOKEN, b"k" * 32, b"f" * ENCAPSULATION_KEY_SIZE, parts[3]),
            combined_secret(*parts[:3], b"d" * CIPHERTEXT_SIZE),
        }
        self.assertEqual(len(variants), 6)

    def test_a_changed_ciphertext_gives_another_secret(self) -> None:
        client = KeyExchange()
        server = Encapsulation.to(client.encapsulation_key)
        for at in (0, 700, len(server.ciphertext) - 2):
            other = "A" if server.ciphertext[at] != "A" else "B"
            changed = server.ciphertext[:at] + other + server.ciphertext[at + 1 :]
            self.assertNotEqual(client.finish(TOKEN, changed).secret, server.secret(TOKEN))

    def test_a_ciphertext_for_another_key(self) -> None:
        server = Encapsulation.to(KeyExchange().encapsulation_key)
        self.assertNotEqual(KeyExchange().finish(TOKEN, server.ciphertext).secret, server.secret(TOKEN))

    def test_secrets_do_not_show(self) -> None:
        client = KeyExchange()
        self.assertNotIn("b'", repr(client) + repr(Encapsulation.to(client.encapsulation_key)))

    def test_supported(self) -> None:
        self.assertTrue(is_supported())


class MalformedTests(SynchronousTestCase):
    def test_wrong_lengths(self) -> None:
        client = KeyExchange()
        for size in (0, 1, ENCAPSULATION_KEY_SIZE - 1, ENCAPSULATION_KEY_SIZE + 1, 1568):
            error = self.assertRaises(ValueError, Encapsulation.to, text(bytes(size)))
            self.assertIn(f"got {size} bytes", str(error))
        for size in (0, 1, CIPHERTEXT_SIZE - 1, CIPHERTEXT_SIZE + 1):
            self.assertRaises(ValueError, client.finish, TOKEN, text(bytes(size)))

    def test_other_text(self) -> None:
        self.assertIn("got other text", str(self.assertRaises(ValueError, Encapsulation.to, "é" * 1579)))
        self.assertRaises(ValueError, KeyExchange().finish, TOKEN, "é")

    def test_a_key_that_is_not_reduced(self) -> None:
        """FIPS 203 section 7.2: coefficients must be below 3329."""
        error = self.assertRaises(ValueError, Encapsulation.to, text(b"\xff" * ENCAPSULATION_KEY_SIZE))
        self.assertEqual(str(error), "encapsulation_key is not a valid ML-KEM-768 encapsulation key")

    @settings(derandomize=True, deadline=None)
    @given(
        st.text(max_size=2048) | st.binary(max_size=1300).map(text) | st.binary(min_size=1184, max_size=1184).map(text)
    )
    def test_fuzz(self, key: str) -> None:
        """Whatever a client sends is either a key or a ValueError."""
        try:
            self.assertEqual(len(Encapsulation.to(key).ciphertext), 1451)
        except ValueError as error:
            self.assertIn("encapsulation_key", str(error))
