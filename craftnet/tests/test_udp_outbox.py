from __future__ import annotations

from itertools import pairwise
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.outbox import Outbox
from craftnet.protocols.pacing import BURST, RATE, Pace
from craftnet.protocols.timing import MAX_TIMEOUT, RoundTrip


class OutboxTests(SynchronousTestCase):
    """What is sent when, with a room of 100 bytes and the initial timeout of 1 s."""

    def setUp(self) -> None:
        self.outbox = Outbox(100, RoundTrip(), Pace())
        self.sequence = 0

    def _send(self, body: bytes) -> tuple[int, bytes]:
        self.sequence += 1
        return self.sequence, body

    def _flush(self, now: float) -> list[bytes]:
        return self.outbox.flush(now, self._send)

    def test_records_share_datagrams_and_are_never_cut(self) -> None:
        self.outbox.put(0, "a", [b"1" * 60, b"2" * 30, b"3" * 20])
        self.assertEqual(self._flush(0.0), [b"1" * 60 + b"2" * 30, b"3" * 20])

    def test_newest_wins_before_and_after_sending(self) -> None:
        self.outbox.put(0, "a", [b"old", b"old too"])
        self.outbox.put(0, "b", [b"other"])
        self.outbox.put(0, "a", [b"new"])
        self.assertEqual(self._flush(0.0), [b"newother"])
        self.outbox.put(0, "a", [b"newest"])
        self.assertEqual(self._flush(0.0), [b"newest"])
        self.outbox.acknowledged(lambda sequence: sequence == 1, 0.1)
        self.assertFalse(self.outbox.empty)
        self.outbox.acknowledged(lambda sequence: sequence == 2, 0.1)
        self.assertTrue(self.outbox.empty)

    def test_what_is_not_acknowledged_is_repeated_with_backoff(self) -> None:
        self.outbox.put(0, "a", [b"x"])
        self._flush(0.0)
        self.assertEqual(self.outbox.deadline, 1.0)
        self.assertEqual(self._flush(0.9), [])
        self.assertEqual(self._flush(1.0), [b"x"])
        self.assertEqual(self.outbox.deadline, 3.0)

    def test_only_the_missing_part_is_repeated(self) -> None:
        self.outbox.put(0, "a", [b"1" * 90, b"2" * 90, b"3" * 90])
        self._flush(0.0)
        self.outbox.acknowledged(lambda sequence: sequence != 2, 0.1)
        self.assertEqual(self._flush(self.outbox.deadline), [b"2" * 90])

    def test_repeating_goes_on_at_the_slowest_pace(self) -> None:
        """However long a line is dead: what was told at its end must arrive when it is back."""
        self.outbox.put(0, "a", [b"x"])
        self._flush(0.0)
        times = []
        for _ in range(12):
            times.append(self.outbox.deadline)
            self.assertEqual(self._flush(times[-1]), [b"x"])
        self.assertEqual([after - before for before, after in pairwise(times[5:])], [MAX_TIMEOUT] * 6)

    def test_bytes_are_paced(self) -> None:
        """A long table takes as long as the rate says, and a change in the meantime replaces what waits."""
        self.outbox.put(0, "a", [bytes([index]) * 100 for index in range(200)])
        first = self._flush(0.0)
        self.assertLessEqual(sum(len(datagram) + 48 for datagram in first), RATE * BURST + 148)
        sent, now = len(first), 0.0
        while sent < 200:
            now = self.outbox.deadline
            self.outbox.acknowledged(lambda sequence: True, now)
            sent += len(self._flush(now))
        self.assertAlmostEqual(now, 200 * 148 / RATE - BURST, places=2)

    def test_conflation_while_paced(self) -> None:
        self.outbox.put(0, "big", [b"x" * 100] * 60)
        self._flush(0.0)
        for number in range(50):
            self.outbox.put(0, "progress", [b"%d" % number])
        self.outbox.put(0, "big", [])
        self.assertEqual(self._flush(10.0), [b"49"])

    def test_nothing_to_do(self) -> None:
        self.assertEqual((self._flush(0.0), self.outbox.deadline, self.outbox.empty), ([], inf, True))
