"""Tests which worker has which player."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.providers.shards import Shards


class PlacementTests(SynchronousTestCase):
    """Which worker has which player."""

    def test_all_processes_agree(self) -> None:
        """Each player belongs to one worker, in every process and in every version of Python."""
        players = [UUID(int=number) for number in range(10_000)]
        workers = [Shards(number, 3) for number in range(3)]
        for player in players:
            self.assertEqual(sum(worker.owns(player) for worker in workers), 1)
        self.assertEqual([Shards(0, 7).of(UUID(int=number)) for number in range(8)], [1, 0, 2, 4, 2, 2, 1, 0])

    def test_evenly(self) -> None:
        """Also where ids only count up, or differ in a few bits in the middle."""
        for index in (0, 40, 96):
            counts = [0] * 4
            for number in range(8000):
                counts[Shards(0, 4).of(UUID(int=number << index))] += 1
            self.assertLess(max(counts) - min(counts), 400, index)

    def test_shares(self) -> None:
        self.assertEqual([Shards(number, 3).share(50) for number in range(3)], [17, 17, 16])
        self.assertEqual(Shards(1, 3).others, [0, 2])
