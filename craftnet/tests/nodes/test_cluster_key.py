"""Tests for `craftnet.nodes.cluster_key`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.nodes.cluster_key import CLUSTER_KEY_VARIABLE, ClusterKey, ForeignMessage, cluster_key

SECRET = b"k" * 32


class SealTests(SynchronousTestCase):
    @settings(derandomize=True)
    @given(st.binary(max_size=300), st.lists(st.text() | st.binary() | st.integers(0, 2**63)))
    def test_opens_what_was_sealed(self, content: bytes, context: list[str | bytes | int]) -> None:
        sealed = ClusterKey(SECRET).seal(content, *context)
        self.assertEqual(ClusterKey(SECRET).open(sealed, *context), content)
        self.assertRaises(ForeignMessage, ClusterKey(SECRET).open, sealed, *context, 1)
        self.assertRaises(ForeignMessage, ClusterKey(b"l" * 32).open, sealed, *context)

    def test_hides_the_content(self) -> None:
        self.assertNotIn(b"secret", ClusterKey(SECRET).seal(b"secret", "a"))

    def test_each_message_has_its_own_key(self) -> None:
        key = ClusterKey(SECRET)
        self.assertNotEqual(key.seal(b"the same", "a")[32:], key.seal(b"the same", "a")[32:])

    def test_every_changed_byte_is_noticed(self) -> None:
        sealed = ClusterKey(SECRET).seal(b"content", "a")
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1
            self.assertRaises(ForeignMessage, ClusterKey(SECRET).open, bytes(changed), "a")

    @settings(derandomize=True)
    @given(st.binary(max_size=60))
    def test_garbage(self, garbage: bytes) -> None:
        self.assertRaises(ForeignMessage, ClusterKey(SECRET).open, garbage, "a")

    def test_the_secret_does_not_show(self) -> None:
        self.assertNotIn("kkkk", repr(ClusterKey(SECRET)))


class EnvironmentTests(SynchronousTestCase):
    def test_missing(self) -> None:
        error = self.assertRaises(ConfigurationError, cluster_key, {})
        self.assertIn(f"{CLUSTER_KEY_VARIABLE}, the same at every node", str(error))
        self.assertIn("openssl rand -hex 32", str(error))

    def test_too_short(self) -> None:
        error = self.assertRaises(ConfigurationError, cluster_key, {CLUSTER_KEY_VARIABLE: "short"})
        self.assertIn("has 5 bytes", str(error))

    def test_accepted(self) -> None:
        key = cluster_key({CLUSTER_KEY_VARIABLE: SECRET.decode()})
        self.assertEqual(ClusterKey(SECRET).open(key.seal(b"a", 1), 1), b"a")
