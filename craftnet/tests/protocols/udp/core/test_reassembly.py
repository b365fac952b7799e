from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.reassembly import MAX_PARTS, CompressedMessage, Reassembly, split
from craftnet.protocols.wire.records import Fragment

quick = settings(deadline=None, max_examples=100, derandomize=True)

MOST = 4096


def message(octets: bytes, room: int, first: int, size: int = MOST) -> list[tuple[Fragment, int]]:
    """The parts of a message, each with its sequence."""
    return [(fragment, first + fragment.part) for fragment in split(octets, size, room)]


class SplitTests(SynchronousTestCase):
    @quick
    @given(st.binary(min_size=1, max_size=400), st.integers(1, 200))
    def test_pieces_fit_and_make_up_the_whole(self, compressed: bytes, room: int) -> None:
        fragments = split(compressed, 4096, room)
        if len(compressed) > MAX_PARTS * room:
            self.assertEqual(fragments, [])
            return
        self.assertEqual(b"".join(fragment.octets for fragment in fragments), compressed)
        self.assertLessEqual(max(len(fragment.octets) for fragment in fragments), room)
        self.assertEqual([fragment.part for fragment in fragments], list(range(len(fragments))))
        self.assertEqual({(fragment.last, fragment.size) for fragment in fragments}, {(len(fragments) - 1, 4096)})


class ReassemblyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reassembly = Reassembly(MOST)

    def _take(self, parts: Iterable[tuple[Fragment, int]]) -> list[CompressedMessage]:
        return [whole for part in parts if (whole := self.reassembly.take(*part)) is not None]

    def _refused(self, outcome: str, part: tuple[Fragment, int]) -> None:
        error = self.assertRaises(BadDatagram, self.reassembly.take, *part)
        self.assertEqual(error.outcome, outcome)

    @quick
    @given(st.binary(min_size=1, max_size=40), st.integers(10, 40), st.randoms(use_true_random=False))
    def test_in_any_order(self, octets: bytes, room: int, random: Random) -> None:
        self.reassembly = Reassembly(MOST)
        parts = message(octets, room, 7)
        random.shuffle(parts)
        self.assertEqual(self._take(parts), [CompressedMessage(octets, MOST, 7)])
        self.assertEqual(self._take(message(octets, room, 11)), [CompressedMessage(octets, MOST, 11)])

    def test_one_after_the_other(self) -> None:
        """Right behind a message, or behind one of which a part was lost, begins the next."""
        self.assertEqual(self._take(message(b"abcd", 1, 1)), [CompressedMessage(b"abcd", MOST, 1)])
        self.assertEqual(self._take(message(b"abcd", 2, 5)[:1]), [])
        self.assertEqual(self._take(message(b"abcd", 1, 7)), [CompressedMessage(b"abcd", MOST, 7)])

    def test_a_newer_message_drops_an_older_one(self) -> None:
        older, newer = message(b"old!", 2, 5), message(b"new!", 2, 7)
        self.assertEqual(self._take([older[0], newer[1]]), [])
        self._refused("stale", older[1])
        self.assertEqual(self._take(newer[:1]), [CompressedMessage(b"new!", MOST, 7)])

    def test_a_message_of_one_part_drops_nothing(self) -> None:
        first, second = message(b"old!", 2, 5)
        between = message(b"whole", 9, 9)
        self.assertEqual(
            self._take([first, *between, second]),
            [CompressedMessage(b"whole", MOST, 9), CompressedMessage(b"old!", MOST, 5)],
        )

    def test_duplicates(self) -> None:
        first, second = message(b"abcd", 2, 5)
        self._take([first])
        self._refused("replayed", first)
        self._take([second])
        self._refused("stale", second)
        self._refused("stale", first)

    def test_contradicting_counts_and_sizes(self) -> None:
        first, (second, sequence) = message(b"abcd", 2, 5)
        self._take([first])
        self._refused("contradictory", (Fragment(1, 2, MOST, b"x"), sequence))
        self._refused("contradictory", (Fragment(1, 1, MOST - 1, b"x"), sequence))
        self.assertEqual(self._take([(second, sequence)]), [CompressedMessage(b"abcd", MOST, 5)])

    def test_overlaps(self) -> None:
        """A message that begins among the parts of another is a newer one; what reaches back into one that is done
        with is stale."""
        self._take(message(b"abcd", 1, 5)[:2])
        self.assertEqual(self._take(message(b"xy", 1, 7)), [CompressedMessage(b"xy", MOST, 7)])
        self._refused("stale", (Fragment(2, 3, MOST, b"c"), 7))
        self._refused("stale", (Fragment(1, 1, MOST, b"z"), 9))

    def test_before_the_first_sequence(self) -> None:
        self._refused("stale", (Fragment(3, 3, MOST, b"x"), 1))

    def test_more_content_than_agreed(self) -> None:
        self._refused("overlong", (Fragment(0, 0, MOST + 1, b"x"), 5))
        self._refused("overlong", (Fragment(0, 3, MOST + 1, b"x"), 6))

    def test_compression_that_saves_nothing(self) -> None:
        self._refused("out_of_range", (Fragment(0, 0, 3, b"abc"), 5))
        self._take([(Fragment(0, 3, 8, b"aaaa"), 6)])
        self._refused("out_of_range", (Fragment(1, 3, 8, b"bbbb"), 7))
        self._refused("stale", (Fragment(2, 3, 8, b"c"), 8))

    @quick
    @given(
        st.lists(
            st.tuples(
                st.builds(
                    lambda part, more, size, octets: Fragment(part, min(3, part + more), size, octets),
                    st.integers(0, 3),
                    st.integers(0, 3),
                    st.sampled_from([1, 5, 60, MOST, MOST + 1, 65_536]),
                    st.binary(min_size=1, max_size=80),
                ),
                st.integers(1, 40),
            ),
            max_size=60,
        )
    )
    def test_whatever_comes_little_is_kept(self, parts: list[tuple[Fragment, int]]) -> None:
        reassembly = Reassembly(MOST)
        for fragment, sequence in parts:
            try:
                whole = reassembly.take(fragment, sequence)
            except BadDatagram as error:
                self.assertIn(error.outcome, ("overlong", "stale", "contradictory", "replayed", "out_of_range"))
            else:
                self.assertTrue(whole is None or len(whole.octets) < whole.size <= MOST)
            self.assertLess(reassembly.kept, MOST)
            self.assertLess(len(reassembly), MAX_PARTS)
