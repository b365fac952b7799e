"""Positions: their text, and the counts that a node finds in them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.position import Position, Versions, changes_in, covers_materials, decode_versions, parse_position
from craftnet.errors import BadRequest

WINDOW = 1023
"""By how many changes a position may differ from where a node is, to be understood there."""

COUNTS = st.integers(0, 2**28)
SOME = st.builds(Versions, COUNTS, COUNTS, COUNTS)
STEPS = st.tuples(*[st.integers(0, 3 * WINDOW)] * 3)


def moved(versions: Versions, by: tuple[int, ...]) -> Versions:
    """The position after this many changes."""
    return Versions(*(count + step for count, step in zip(astuple(versions), by, strict=True)))


class TextTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        for position in (Position("6c0ffee", 0), Position("a-b_C", 10**18 - 1), Position("6c0ffee", 7, over_udp=True)):
            self.assertEqual(parse_position(str(position)), position)

    def test_malformed(self) -> None:
        for text in (
            "",
            ":",
            "epoch",
            "epoch:",
            ":1",
            "epoch:-1",
            "epoch:1:2",
            "epoch:1:",
            "epoch:1:udp:",
            "epoch: 1",
            "e:" + "9" * 19,
            "e:¹",
            "é:1",
        ):
            self.assertIn("resume", self.assertRaises(BadRequest, parse_position, text).message)


class VersionsTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(SOME, STEPS)
    def test_grows_with_every_change(self, versions: Versions, steps: tuple[int, ...]) -> None:
        later = moved(versions, steps)
        self.assertEqual(later.encoded > versions.encoded, any(steps))
        self.assertEqual(later.encoded == versions.encoded, not any(steps))
        self.assertTrue(later.reach(versions))

    @settings(deadline=None, derandomize=True)
    @given(SOME, st.integers(-WINDOW, WINDOW))
    def test_a_table_version_covers_earlier_changes(self, versions: Versions, newer: int) -> None:
        held = (versions.materials + newer) % 2**32
        self.assertEqual(covers_materials(versions.encoded, held), newer >= 0)

    @settings(deadline=None, derandomize=True)
    @given(SOME)
    def test_javascript_can_count_so_far(self, versions: Versions) -> None:
        self.assertLess(versions.encoded, 2**53)
        self.assertEqual(changes_in(versions.encoded), sum(astuple(versions)))

    @settings(deadline=None, derandomize=True)
    @given(SOME, STEPS)
    def test_missed_changes_found_by_a_node_that_is_ahead(self, versions: Versions, steps: tuple[int, ...]) -> None:
        """Exactly, up to the window; beyond it, it is known that it is too long ago."""
        found = decode_versions(versions.encoded, moved(versions, steps))
        self.assertEqual(found, versions if sum(steps) <= WINDOW else None)

    @settings(deadline=None, derandomize=True)
    @given(SOME, st.tuples(*[st.integers(0, WINDOW)] * 3), st.tuples(*[st.integers(0, WINDOW)] * 3))
    def test_missed_changes_found_by_a_node_that_is_partly_behind(
        self, before: Versions, ours: tuple[int, ...], theirs: tuple[int, ...]
    ) -> None:
        """Two nodes that have not heard the same yet."""
        here, there = moved(before, ours), moved(before, theirs)
        found = decode_versions(there.encoded, here)
        self.assertIn(found, (there, None))
        if abs(sum(ours) - sum(theirs)) <= WINDOW:
            self.assertEqual(found, there)
            self.assertEqual(here.reach(there), all(one >= other for one, other in zip(ours, theirs, strict=True)))

    @settings(deadline=None, derandomize=True)
    @given(SOME, st.integers(0, 10**18 - 1))
    def test_anything_may_be_asked_for(self, here: Versions, version: int) -> None:
        """A position that no feed delivered is unknown, or ahead, or one that could have been delivered."""
        found = decode_versions(version, here)
        if found is not None:
            self.assertGreaterEqual(min(astuple(found)), 0)
            self.assertEqual(found.encoded, version)
