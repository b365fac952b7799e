from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.replay_window import WINDOW_SIZE, ReplayWindow, expand


class ReplayWindowTests(SynchronousTestCase):
    """Each sequence once."""

    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(st.lists(st.integers(1, 700), max_size=60))
    def test_against_a_set(self, sequences: list[int]) -> None:
        window, seen = ReplayWindow(), set[int]()
        for sequence in sequences:
            expected = sequence not in seen and sequence > max(seen, default=0) - WINDOW_SIZE
            try:
                window.check(sequence)
            except BadDatagram:
                self.assertFalse(expected)
            else:
                self.assertTrue(expected)
                window.advance(sequence)
                seen.add(sequence)
        newest = max(seen, default=0)
        self.assertEqual(window.newest, newest)
        bits = sum(1 << bit for bit in range(32) if newest - 1 - bit in seen)
        self.assertEqual(window.seen >> 1 & 0xFFFFFFFF, bits)

    def test_checking_changes_nothing(self) -> None:
        window = ReplayWindow()
        window.check(1 << 60)
        window.check(1)
        self.assertEqual(window.newest, 0)

    def test_a_great_leap_forgets_and_stays_small(self) -> None:
        window = ReplayWindow()
        window.advance(1)
        window.advance(1 << 62)
        self.assertRaises(BadDatagram, window.check, 1)
        self.assertEqual(window.seen >> 1 & 0xFFFFFFFF, 0)

    def test_zero_is_no_sequence(self) -> None:
        self.assertRaises(BadDatagram, ReplayWindow().check, 0)


class ExpandTests(SynchronousTestCase):
    """Low bits to the whole sequence."""

    def test_example_of_rfc_9000(self) -> None:
        """Appendix A.3."""
        self.assertEqual(expand(0x9B32, 16, 0xA82F30EA), 0xA82F9B32)

    @settings(deadline=None, max_examples=200, derandomize=True)
    @given(st.integers(0, 2**48), st.integers(-30_000, 30_000))
    def test_anything_within_half_a_span(self, newest: int, distance: int) -> None:
        sequence = max(0, newest + distance)
        self.assertEqual(expand(sequence & 0xFFFF, 16, newest), sequence)
