from __future__ import annotations

import tracemalloc
from typing import Any
from unittest import skipIf

from hypothesis import given, settings
from hypothesis import strategies as st
from lz4.block import compress  # type: ignore[import-untyped]  # lz4 ships no annotations.
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core import compression
from craftnet.protocols.udp.core.compression import COMPRESSIONS, MAX_CONTENT

quick = settings(deadline=None, max_examples=80, derandomize=True)

zstd: Any = vars(compression)["zstd"]  # which of its homes it came from does not matter here.

contents = st.binary(min_size=1, max_size=300) | st.builds(
    lambda part, times: (part * times)[:MAX_CONTENT], st.binary(min_size=1, max_size=40), st.integers(1, 5000)
)


class AlgorithmTests(SynchronousTestCase):
    """Both algorithms, where there are both."""

    @quick
    @given(contents)
    def test_there_and_back(self, content: bytes) -> None:
        for each in COMPRESSIONS.values():
            self.assertEqual(each.decompress(each.compress(content), len(content)), content, each.name)

    @quick
    @given(contents, st.integers(1, MAX_CONTENT))
    def test_another_size_is_refused(self, content: bytes, size: int) -> None:
        for each in COMPRESSIONS.values():
            if size != len(content):
                error = self.assertRaises(BadDatagram, each.decompress, each.compress(content), size)
                self.assertEqual(error.outcome, "garbled")

    @quick
    @given(contents, st.data())
    def test_what_was_changed_is_refused_or_as_long_as_it_says(self, content: bytes, data: st.DataObject) -> None:
        for each in COMPRESSIONS.values():
            octets = bytearray(each.compress(content))
            for index in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=4)):
                octets[index] = data.draw(st.integers(0, 255))
            del octets[data.draw(st.integers(1, len(octets))) :]
            try:
                self.assertEqual(len(each.decompress(bytes(octets), len(content))), len(content))
            except BadDatagram as error:
                self.assertEqual(error.outcome, "garbled")

    @quick
    @given(st.binary(max_size=200), st.integers(1, MAX_CONTENT))
    def test_random_octets(self, octets: bytes, size: int) -> None:
        for each in COMPRESSIONS.values():
            try:
                self.assertEqual(len(each.decompress(octets, size)), size)
            except BadDatagram as error:
                self.assertEqual(error.outcome, "garbled")

    def test_more_behind_it_is_refused(self) -> None:
        for each in COMPRESSIONS.values():
            self.assertRaises(BadDatagram, each.decompress, each.compress(b"once") + b"\0", 4)
            self.assertRaises(BadDatagram, each.decompress, each.compress(b"once") * 2, 4)

    def _cost(self, name: str, bomb: bytes) -> int:
        """Octets reserved at most while the bomb is refused as four octets."""
        tracemalloc.start()
        try:
            self.assertRaises(BadDatagram, COMPRESSIONS[name].decompress, bomb, 4)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_a_bomb_costs_nothing(self) -> None:
        bomb = compress(bytes(20_000_000), store_size=False)
        self.assertLess(self._cost("lz4", bomb), 10_000)

    @skipIf(zstd is None, "zstd is an extra")
    def test_a_zstd_bomb_costs_nothing(self) -> None:
        """Neither by its content nor by the window it says it needs."""
        self.assertLess(self._cost("zstd", zstd.compress(bytes(20_000_000))), 10_000)
        for bits in (10, 16, 27):
            window = zstd.ZstdCompressor(
                options={
                    zstd.CompressionParameter.window_log: bits,
                    zstd.CompressionParameter.content_size_flag: 0,
                }
            )
            bomb = window.compress(bytes(20_000_000)) + window.flush()
            self.assertLess(self._cost("zstd", bomb), 300_000, f"{bits} bits")

    @skipIf(zstd is None, "zstd is an extra")
    def test_a_zstd_frame_with_another_window_is_refused(self) -> None:
        wide = zstd.ZstdCompressor(
            options={zstd.CompressionParameter.window_log: 17, zstd.CompressionParameter.content_size_flag: 0}
        )
        self.assertRaises(BadDatagram, COMPRESSIONS["zstd"].decompress, wide.compress(b"abc") + wide.flush(), 3)
