"""Players of the workshop who wait for a station."""

from __future__ import annotations

from random import Random
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import QueueUpdate
from craftnet.contract.messages import QueueMessageType
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation
from craftnet.tests.support.samples import NOW


class WaitingTests(SynchronousTestCase):
    """Players who wait for a station."""

    def test_jump(self) -> None:
        """A player who waits behind others moves to the front, and is described; any other player cannot."""
        simulation = Simulation(WorkshopSettings(players=50, chaos=0.0), Random(3), NOW)
        places = {
            event.data.player_id: event.data.queue_position
            for event in simulation.run_until(NOW)
            if isinstance(event.data, QueueUpdate)
        }
        player_id = max(places, key=lambda each: places[each])
        self.assertGreater(places[player_id], 1)
        waits = simulation.describe(player_id)[-1]
        self.assertTrue(waits.recipe and waits.materials)
        self.assertTrue(simulation.jump_queue(player_id, NOW))
        moves = [event.data for event in simulation.run_until(NOW) if isinstance(event.data, QueueUpdate)]
        first = next(move for move in moves if move.player_id == player_id)
        self.assertEqual((first.type, first.queue_position), (QueueMessageType.PRIORITY_BOOST, 1))
        self.assertEqual(first.station_type, waits.station_type)
        self.assertFalse(simulation.jump_queue(player_id, NOW), "already in front")
        self.assertFalse(simulation.jump_queue(UUID(int=1), NOW))
        self.assertEqual(simulation.describe(UUID(int=1)), [])
