"""Packed messages: bounded, and whatever is wrong with them is said."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from lz4.block import compress  # type: ignore[import-untyped]  # lz4 ships no annotations.
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.websocket.core.compression import (
    MAX_SIZE,
    BadCompressedMessage,
    compress_message,
    decompress_message,
)
from craftnet.protocols.websocket.core.dictionaries import NEWEST, UnknownDictionary, dictionary


class CompressionTests(SynchronousTestCase):
    preset = dictionary(NEWEST)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.binary(max_size=300)
        | st.builds(lambda piece, times: piece * times, st.binary(max_size=9), st.integers(0, 7000))
    )
    def test_there_and_back(self, message: bytes) -> None:
        if len(message) <= MAX_SIZE:
            self.assertEqual(decompress_message(compress_message(message, self.preset)), message)

    def test_form(self) -> None:
        compressed = compress_message(b"x" * 300, self.preset)
        self.assertEqual(compressed[:4], bytes((NEWEST,)) + (300).to_bytes(3, "big"))

    def test_without_a_dictionary(self) -> None:
        self.assertEqual(decompress_message(b"\0\0\0\5" + compress(b"hello", store_size=False)), b"hello")

    def test_too_long(self) -> None:
        self.assertRaises(BadCompressedMessage, compress_message, bytes(MAX_SIZE + 1), self.preset)

    def test_a_bomb(self) -> None:
        """A declared size above the limit allocates nothing; one that is too low yields no more."""
        zeros = compress(bytes(1_000_000), store_size=False)
        for size in (1_000_000, 0xFFFFFF, MAX_SIZE):
            self.assertRaises(BadCompressedMessage, decompress_message, b"\0" + size.to_bytes(3, "big") + zeros)

    def test_bad_ones(self) -> None:
        whole = compress_message(b"some message of ours", self.preset)
        bad = [b"", whole[:3], whole[:-1], whole + b"x", b"\1\0\0\1" + whole[4:], b"\1\0\1\0" + whole[4:]]
        for octets in bad:
            self.assertRaises(BadCompressedMessage, decompress_message, octets)
        self.assertRaises(UnknownDictionary, decompress_message, b"\x07" + whole[1:])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.binary(max_size=200))
    def test_anything(self, octets: bytes) -> None:
        """A message of the size it says, or an error of ours."""
        try:
            message = decompress_message(octets)
        except BadCompressedMessage:
            return
        self.assertEqual(len(message), int.from_bytes(octets[1:4], "big"))
