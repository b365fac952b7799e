"""Updates that wait for a slow consumer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.crafting.updates import Update
from craftnet.protocols.feed.core.conflation import MAX_UPDATES, Conflation, SlowConsumer


def plain() -> Update:
    """One that must arrive."""
    return Update(None, ())


def conflatable() -> Update:
    """One that the next of its kind replaces."""
    return Update(None, (), conflatable=True)


def terminal() -> Update:
    """The last one."""
    return Update(None, (), terminal=True)


class ConflationTests(SynchronousTestCase):
    def filled(self, *updates: Update, capacity: int = MAX_UPDATES) -> Conflation:
        waiting = Conflation(capacity)
        for update in updates:
            waiting.put(update, 1)
        return waiting

    def test_in_order(self) -> None:
        first, second, third = plain(), conflatable(), plain()
        waiting = self.filled(first, second, third)
        self.assertEqual(len(waiting), 3)
        self.assertEqual(waiting.take(), [first, second, third])

    def test_taken_is_gone(self) -> None:
        waiting = self.filled(plain())
        waiting.take()
        self.assertEqual((len(waiting), waiting.take()), (0, []))

    def test_newest_wins(self) -> None:
        """It takes its place behind what came before it."""
        old, note, new = conflatable(), plain(), conflatable()
        self.assertEqual(self.filled(old, note, new).take(), [note, new])

    def test_terminal_makes_states_worthless(self) -> None:
        note, end = plain(), terminal()
        self.assertEqual(self.filled(conflatable(), note, end).take(), [note, end])

    def test_full(self) -> None:
        notes = [plain(), plain()]
        waiting = self.filled(*notes, capacity=2)
        self.assertRaises(SlowConsumer, waiting.put, plain(), 1)
        self.assertRaises(SlowConsumer, waiting.put, conflatable(), 1)
        self.assertEqual(waiting.take(), notes)

    def test_full_with_a_state(self) -> None:
        """A newer state needs no additional room."""
        note, new = plain(), conflatable()
        self.assertEqual(self.filled(note, conflatable(), new, capacity=2).take(), [note, new])

    def test_terminal_always_finds_room(self) -> None:
        notes, end = [plain(), plain()], terminal()
        self.assertEqual(self.filled(*notes, end, capacity=2).take(), [*notes, end])

    def test_full_of_octets(self) -> None:
        """However few they are. A newer state gives the room of the older one back; the end needs none."""
        waiting, note, state, end = Conflation(octets=100), plain(), conflatable(), terminal()
        waiting.put(note, 60)
        waiting.put(conflatable(), 40)
        self.assertRaises(SlowConsumer, waiting.put, plain(), 1)
        waiting.put(state, 40)
        self.assertEqual(waiting.size, 100)
        waiting.put(end, 1000)
        self.assertEqual(waiting.take(), [note, end])

    def test_one_that_is_too_long_alone(self) -> None:
        """It can be sent at some time, so it may wait; but nothing beside it."""
        waiting, long = Conflation(octets=100), plain()
        waiting.put(long, 1000)
        self.assertRaises(SlowConsumer, waiting.put, plain(), 1)
        self.assertEqual(waiting.take(), [long])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.integers(1, 6), st.text(alphabet="pcT", max_size=40), st.booleans())
    def test_any_course(self, capacity: int, kinds: str, ends: bool) -> None:
        """Bounded; notes and the end are never lost, nor the newest state; the order stays. `T` takes."""
        waiting = Conflation(capacity)
        expected: list[Update] = []
        for kind in kinds:
            if kind == "T":
                self.assertEqual(waiting.take(), expected)
                expected = []
                continue
            update = plain() if kind == "p" else conflatable()
            rest = [known for known in expected if not (known.conflatable and update.conflatable)]
            if len(rest) < capacity:
                waiting.put(update, 1)
                expected = [*rest, update]
            else:
                self.assertRaises(SlowConsumer, waiting.put, update, 1)
            self.assertLessEqual(len(waiting), capacity)
        if ends:
            end = terminal()
            waiting.put(end, 1)
            expected = [*(known for known in expected if not known.conflatable), end]
            self.assertLessEqual(len(waiting), capacity + 1)
        self.assertEqual(waiting.take(), expected)
