"""Stations and their queues."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import QueueMessageType, Station
from craftnet.providers.workshop.simulation.stations import JUMP_PRICE, QueueTicket, Workbench
from craftnet.providers.workshop.simulation.world import Sleeper
from craftnet.tests.support.samples import NOW

BENCHES = (UUID(int=901), UUID(int=902))


def ticket(number: int) -> QueueTicket:
    """The claim of player number so-and-so, for a minute."""
    return QueueTicket(UUID(int=number), UUID(int=100 + number), 60.0, Sleeper(iter(())))  # type: ignore[arg-type]  # never woken.


class WorkbenchTests(SynchronousTestCase):
    """Two places, five players."""

    def setUp(self) -> None:
        self.bench = Workbench(Station.LABORATORY, BENCHES)
        self.tickets = [ticket(number) for number in range(5)]
        self.entered = [self.bench.enter(each, NOW) for each in self.tickets]

    def line(self) -> list[int]:
        """The numbers of the waiting players, in order of their positions."""
        waiting = [(number, each) for number, each in enumerate(self.tickets) if each.workstation_id is None]
        return [number for number, each in sorted(waiting, key=lambda pair: self.bench.position(pair[1]))]

    def test_the_first_get_benches_and_the_others_queue(self) -> None:
        self.assertEqual(self.entered, [True, True, False, False, False])
        self.assertEqual({each.workstation_id for each in self.tickets[:2]}, set(BENCHES))
        self.assertEqual([self.bench.position(each) for each in self.tickets[2:]], [1, 2, 3])

    def test_a_free_bench_goes_to_the_first_in_the_queue(self) -> None:
        first = self.bench.release(BENCHES[0], NOW)
        self.assertIs(first, self.tickets[2])
        assert first is not None
        self.assertEqual(first.workstation_id, BENCHES[0])
        self.assertEqual(self.bench.leave(first), (self.tickets[3], self.tickets[4]))
        self.assertEqual(self.line(), [3, 4])

    def test_a_free_bench_needs_no_waiting(self) -> None:
        for each in self.tickets[2:]:
            self.bench.leave(each)
        self.assertIsNone(self.bench.release(BENCHES[1], NOW))
        late = ticket(9)
        self.assertTrue(self.bench.enter(late, NOW))
        self.assertEqual(late.workstation_id, BENCHES[1])

    def test_leaving_the_queue_moves_up_the_others(self) -> None:
        self.assertEqual(self.bench.leave(self.tickets[3]), (self.tickets[4],))
        self.assertEqual(self.bench.position(self.tickets[4]), 2)

    def test_a_boost_passes_those_in_front(self) -> None:
        self.assertEqual(self.bench.boost(self.tickets[4], 1), (self.tickets[2], self.tickets[3]))
        self.assertEqual(self.line(), [4, 2, 3])

    def test_waits_are_guessed_from_the_ends_of_what_is_being_made(self) -> None:
        self.bench.expect(BENCHES[0], NOW + 40)
        self.bench.expect(BENCHES[1], NOW + 10)
        self.assertEqual([self.bench.wait(position, NOW) for position in (1, 2, 3)], [10, 40, 70])
        # What should be over is expected to be over any moment.
        self.assertEqual([self.bench.wait(position, NOW + 30) for position in (1, 2, 3)], [0, 10, 60])

    def test_an_assigned_bench_is_in_use_until_it_is_released(self) -> None:
        self.bench.expect(BENCHES[0], NOW + 40)
        self.bench.expect(BENCHES[1], NOW + 10)
        first = self.bench.release(BENCHES[1], NOW + 10)
        assert first is not None
        self.bench.leave(first)
        self.assertEqual([self.bench.wait(position, NOW + 10) for position in (1, 2)], [30, 60])

    def test_queue_updates(self) -> None:
        self.bench.expect(BENCHES[0], NOW + 40)
        news = self.bench.news(self.tickets[3], QueueMessageType.PRIORITY_BOOST, NOW)
        self.assertEqual((news.type, news.player_id), (QueueMessageType.PRIORITY_BOOST, self.tickets[3].player_id))
        self.assertEqual((news.queue_position, news.total_in_queue, news.station_type), (2, 3, Station.LABORATORY))
        self.assertEqual((news.can_jump_queue, news.jump_queue_cost), (True, JUMP_PRICE))
        first = self.bench.news(self.tickets[2], QueueMessageType.STATION_AVAILABLE, NOW)
        self.assertEqual((first.can_jump_queue, first.jump_queue_cost), (False, None))
        self.assertEqual(first.estimated_wait_seconds, 0)
