"""What every source of queues must do."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from craftnet.contract.messages import (
    QueueMessageType,
    Station,
)
from craftnet.crafting.state import QueueChange, QueueEntry, QueueState
from craftnet.interfaces import (
    IQueueSource,
)
from craftnet.tests.contracts.source import ACCEPTED, DUPLICATE, REJECTED, QueueRecorder, SourceContract, queued
from craftnet.tests.support.samples import (
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    SESSION,
    event,
    start,
)


class QueueSourceContract(SourceContract):
    """For an `IQueueSource`; `make_queues` gives an empty one."""

    async def make_queues(self) -> IQueueSource:
        """The provider under test."""
        raise NotImplementedError

    async def test_queues_interface(self) -> None:
        verifyObject(IQueueSource, await self.make_queues())

    async def test_queues_empty(self) -> None:
        source = await self.make_queues()
        self.assertEqual(await source.get(PLAYER), QueueState(PLAYER))
        self.assertIsNone(await source.find(SESSION))
        self.assertEqual(await source.watch(PLAYER, QueueRecorder()), QueueState(PLAYER))
        self.assertEqual(await source.apply([]), [])

    async def test_queues_entry(self) -> None:
        source = await self.make_queues()
        self.assertEqual(await self.verdicts(source, [event(queued(3), session_id=SESSION)]), [ACCEPTED])
        state = await source.get(PLAYER)
        self.assertEqual((state.player_id, state.version), (PLAYER, 1))
        (entry,) = state.entries
        self.assertIsInstance(entry, QueueEntry)
        self.assertEqual((entry.player_id, entry.station, entry.session_id), (PLAYER, Station.LABORATORY, SESSION))
        self.assertEqual((entry.status.queue_position, entry.version, entry.since), (3, 1, NOW))
        self.assertEqual(await source.find(SESSION), entry)
        self.assertIsNone(await source.find(OTHER_SESSION))

    async def test_queues_changes_are_delivered(self) -> None:
        source = await self.make_queues()
        listener = QueueRecorder()
        await source.watch(PLAYER, listener)
        moves = [event(queued(position), NOW + 3 - position) for position in (3, 2, 1)]
        await self.verdicts(source, [*moves, event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 3)])
        for change in listener.heard:
            self.assertIsInstance(change, QueueChange)
        self.assertEqual(
            [(change.entry.status.queue_position, change.news, change.waiting) for change in listener.heard],
            [
                (3, QueueMessageType.QUEUE_POSITION, True),
                (2, QueueMessageType.QUEUE_POSITION, True),
                (1, QueueMessageType.QUEUE_POSITION, True),
                (1, QueueMessageType.STATION_AVAILABLE, False),
            ],
        )
        self.assertEqual([change.entry.version for change in listener.heard], [1, 2, 3, 4])
        self.assertEqual([change.state.version for change in listener.heard], [1, 2, 3, 4])
        self.assertEqual([len(change.state.entries) for change in listener.heard], [1, 1, 1, 0])
        self.assertEqual(listener.heard[-1].state, await source.get(PLAYER))
        self.assertEqual([change.accepted for change in listener.heard], [NOW, NOW + 1, NOW + 2, NOW + 3])

    async def test_queues_leaving(self) -> None:
        source = await self.make_queues()
        await self.verdicts(source, [event(queued(2), session_id=SESSION)])
        await self.verdicts(source, [event(queued(1, QueueMessageType.QUEUE_TIMEOUT), NOW + 1, session_id=SESSION)])
        self.assertEqual((await source.get(PLAYER)).entries, ())
        self.assertIsNone(await source.find(SESSION))

    async def test_queues_version_outlives_the_entries(self) -> None:
        """Leaving and returning continues the version, so that no version names two states."""
        source = await self.make_queues()
        await self.verdicts(source, [event(queued(2)), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1)])
        self.assertEqual((await source.get(PLAYER)).version, 2)
        await self.verdicts(source, [event(queued(4), NOW + 2)])
        state = await source.get(PLAYER)
        self.assertEqual((state.version, [entry.version for entry in state.entries]), (3, [3]))

    async def test_queues_what_left_does_not_come_back(self) -> None:
        source = await self.make_queues()
        left = event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 5)
        self.assertEqual(
            await self.verdicts(source, [event(queued(2)), left, event(queued(1), NOW + 4)]),
            [ACCEPTED, ACCEPTED, REJECTED],
        )
        self.assertEqual((await source.get(PLAYER)).entries, ())

    async def test_queues_at_two_stations(self) -> None:
        source = await self.make_queues()
        await self.verdicts(source, [event(queued(2)), event(queued(5, station=Station.VEHICLE_BAY), NOW + 1)])
        await self.verdicts(source, [event(queued(1), NOW + 2)])
        positions = {entry.station: entry.status.queue_position for entry in (await source.get(PLAYER)).entries}
        self.assertEqual(positions, {Station.LABORATORY: 1, Station.VEHICLE_BAY: 5})

    async def test_queues_duplicate(self) -> None:
        source = await self.make_queues()
        update = event(queued(2))
        await self.verdicts(source, [update])
        listener = QueueRecorder()
        before = await source.watch(PLAYER, listener)
        self.assertEqual(await self.verdicts(source, [update]), [DUPLICATE])
        self.assertEqual(await source.get(PLAYER), before)
        self.assertEqual(listener.heard, [])

    async def test_queues_out_of_order(self) -> None:
        source = await self.make_queues()
        batch = [event(queued(2), NOW + 5), event(queued(3), NOW + 4)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, REJECTED])
        (entry,) = (await source.get(PLAYER)).entries
        self.assertEqual(entry.status.queue_position, 2)

    async def test_queues_leaving_is_lost_to_no_clock(self) -> None:
        source = await self.make_queues()
        left = event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 4, accepted=NOW + 6)
        self.assertEqual(await self.verdicts(source, [event(queued(2), NOW + 5), left]), [ACCEPTED, ACCEPTED])
        self.assertEqual((await source.get(PLAYER)).entries, ())
        self.assertEqual(await self.verdicts(source, [event(queued(2), NOW + 4.5, accepted=NOW + 7)]), [REJECTED])

    async def test_queues_foreign_event(self) -> None:
        source = await self.make_queues()
        self.assertEqual(await self.verdicts(source, [event(start())]), [REJECTED])

    async def test_queues_session_of_another_player(self) -> None:
        """`find` returns the player of a waiting session, so that no other can wait in its name."""
        source = await self.make_queues()
        stolen = event(queued(1, player_id=OTHER_PLAYER), NOW + 1, session_id=SESSION)
        self.assertEqual(
            await self.verdicts(source, [event(queued(2), session_id=SESSION), stolen]), [ACCEPTED, REJECTED]
        )
        entry = await source.find(SESSION)
        assert entry is not None
        self.assertEqual(entry.player_id, PLAYER)
        self.assertEqual(await source.get(OTHER_PLAYER), QueueState(OTHER_PLAYER))

    async def test_queues_players_apart(self) -> None:
        source = await self.make_queues()
        listener = QueueRecorder()
        await source.watch(PLAYER, listener)
        await self.verdicts(source, [event(queued(1, player_id=OTHER_PLAYER))])
        self.assertEqual((listener.heard, await source.get(PLAYER)), ([], QueueState(PLAYER)))
        self.assertEqual(len((await source.get(OTHER_PLAYER)).entries), 1)

    async def test_queues_two_subscriptions_one_watch(self) -> None:
        source = await self.make_queues()
        listener = QueueRecorder()
        await source.watch(PLAYER, listener)
        await source.watch(PLAYER, listener)
        await self.verdicts(source, [event(queued(1))])
        self.assertEqual(len(listener.heard), 1)

    async def test_queues_unwatch(self) -> None:
        source = await self.make_queues()
        listener, other = QueueRecorder(), QueueRecorder()
        source.unwatch(PLAYER, listener)
        await source.watch(PLAYER, listener)
        await source.watch(PLAYER, other)
        source.unwatch(PLAYER, listener)
        await self.verdicts(source, [event(queued(1))])
        self.assertEqual((len(listener.heard), len(other.heard)), (0, 1))
