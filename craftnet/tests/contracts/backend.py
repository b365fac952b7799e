"""What every provider must do: one suite per interface, to be mixed into a `twisted.trial.unittest.TestCase`.

A suite uses only the interfaces. It awaits every answer and calls `settle` before it checks what listeners received, so
a provider may answer, and deliver, at any later time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.contract.events import (
    Event,
    EventMaterial,
    EventOutcome,
    EventVerdict,
    MaterialsUpdate,
    QueueUpdate,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionStart,
)
from craftnet.contract.messages import (
    ChangeType,
    MaterialChange,
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    Station,
    Status,
)
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.interfaces import (
    IBackend,
    IMaterialListener,
    IMaterialSource,
    IQueueListener,
    IQueueSource,
    ISessionListener,
    ISessionSource,
)
from craftnet.tests.support.samples import (
    COPPER,
    IRON,
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    RECIPE,
    SESSION,
    event,
    start,
)

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase

    _Suite = TestCase
else:
    _Suite = object  # a suite that were a TestCase itself would be run without a provider.

ACCEPTED, DUPLICATE, REJECTED = EventVerdict.ACCEPTED, EventVerdict.DUPLICATE, EventVerdict.REJECTED


def progress(percent: float, status: Status = Status.ACTIVE, session_id: UUID = SESSION) -> SessionProgress:
    """The data of a report."""
    return SessionProgress(session_id=session_id, progress_percentage=percent, status=status)


def complete(session_id: UUID = SESSION) -> SessionComplete:
    """The data of a session's success."""
    return SessionComplete(session_id=session_id, result_item_id=RECIPE)


def fail(session_id: UUID = SESSION) -> SessionFail:
    """The data of a session's failure."""
    return SessionFail(session_id=session_id, failure_reason="timeout")


def pause(session_id: UUID = SESSION) -> SessionPause:
    """The data of a pause."""
    return SessionPause(session_id=session_id, pause_reason="player_afk")


def queued(
    position: int,
    news: QueueMessageType = QueueMessageType.QUEUE_POSITION,
    *,
    player_id: UUID = PLAYER,
    station: Station | None = Station.LABORATORY,
) -> QueueUpdate:
    """The data of a place in a queue."""
    return QueueUpdate(player_id=player_id, queue_position=position, station_type=station, type=news)


def quantity(amount: int, material_id: UUID = IRON) -> MaterialsUpdate:
    """The data of one material's new quantity."""
    change = MaterialChange(material_id=material_id, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=amount)
    return MaterialsUpdate(session_id=SESSION, changes=(change,))


@implementer(ISessionListener)
class SessionRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[SessionState | None] = []

    def session_changed(self, state: SessionState | None) -> None:
        """Keep it."""
        self.heard.append(state)

    @property
    def versions(self) -> list[int]:
        """The versions heard."""
        return [state.version for state in self.heard if state is not None]


@implementer(IMaterialListener)
class MaterialRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[MaterialsChange] = []

    def materials_changed(self, change: MaterialsChange) -> None:
        """Keep it."""
        self.heard.append(change)


@implementer(IQueueListener)
class QueueRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[QueueChange] = []
        self.resets: list[QueueState] = []

    def queue_changed(self, change: QueueChange) -> None:
        """Keep it."""
        self.heard.append(change)

    def queue_reset(self, state: QueueState) -> None:
        """Keep it."""
        self.resets.append(state)


class _ProviderContract(_Suite):
    async def settle(self) -> None:
        """Wait until listeners have heard all that was applied so far."""

    async def verdicts(
        self, source: ISessionSource | IMaterialSource | IQueueSource, events: Sequence[Event]
    ) -> list[EventVerdict]:
        """Apply, check the kind of answer, wait, and give the verdicts."""
        outcomes = await source.apply(events)
        self.assertIsInstance(outcomes, list)
        for outcome in outcomes:
            self.assertIsInstance(outcome, EventOutcome)
            self.assertEqual(outcome.verdict is REJECTED, bool(outcome.reason))
        await self.settle()
        return [outcome.verdict for outcome in outcomes]


class SessionSourceContract(_ProviderContract):
    """For an `ISessionSource`; `make_sessions` gives an empty one, its clock at `samples.NOW`."""

    async def make_sessions(self) -> ISessionSource:
        """The provider under test."""
        raise NotImplementedError

    async def test_sessions_interface(self) -> None:
        verifyObject(ISessionSource, await self.make_sessions())

    async def test_sessions_empty(self) -> None:
        source = await self.make_sessions()
        self.assertIsNone(await source.get(SESSION))
        self.assertEqual(await source.count(), 0)
        self.assertEqual(await source.apply([]), [])

    async def test_sessions_start(self) -> None:
        source = await self.make_sessions()
        self.assertEqual(await self.verdicts(source, [event(start())]), [ACCEPTED])
        state = await source.get(SESSION)
        assert isinstance(state, SessionState)
        self.assertEqual((state.session_id, state.player_id, state.recipe_id), (SESSION, PLAYER, RECIPE))
        self.assertEqual((state.version, state.accepted), (1, NOW))
        self.assertEqual((state.progress.status, state.progress.percent), (Status.ACTIVE, 0.0))
        self.assertEqual((state.progress.anchor, state.progress.remaining), (NOW, 60.0))
        self.assertIsNone(await source.get(OTHER_SESSION))

    async def test_sessions_outcomes_in_order(self) -> None:
        """One outcome for each event; a rejected one does not spoil its neighbours."""
        source = await self.make_sessions()
        first = event(start())
        batch = [first, first, event(fail(OTHER_SESSION)), event(start(OTHER_SESSION)), event(pause(), NOW + 1)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, DUPLICATE, REJECTED, ACCEPTED, ACCEPTED])
        self.assertEqual(await source.count(), 2)

    async def test_sessions_duplicate_changes_nothing(self) -> None:
        source = await self.make_sessions()
        report = event(progress(10.0), NOW + 6)
        await self.verdicts(source, [event(start()), report])
        before = await source.get(SESSION)
        listener = SessionRecorder()
        await source.watch(SESSION, listener)
        self.assertEqual(await self.verdicts(source, [report]), [DUPLICATE])
        self.assertEqual(await source.get(SESSION), before)
        self.assertEqual(listener.heard, [])

    async def test_sessions_rejected_may_come_again(self) -> None:
        """Only an accepted event makes a duplicate."""
        source = await self.make_sessions()
        early = event(pause(), NOW + 1)
        self.assertEqual(await self.verdicts(source, [early]), [REJECTED])
        self.assertEqual(await self.verdicts(source, [event(start())]), [ACCEPTED])
        self.assertEqual(await self.verdicts(source, [early]), [ACCEPTED])

    async def test_sessions_rejected_changes_nothing(self) -> None:
        source = await self.make_sessions()
        await self.verdicts(source, [event(start()), event(progress(50.0), NOW + 30)])
        listener = SessionRecorder()
        before = await source.watch(SESSION, listener)
        late = event(progress(20.0), NOW + 12)
        self.assertEqual(await self.verdicts(source, [late, event(start())]), [REJECTED, REJECTED])
        self.assertEqual(await source.get(SESSION), before)
        self.assertEqual(listener.heard, [])

    async def test_sessions_no_end_is_lost_to_a_clock(self) -> None:
        """The source's clock is ahead of ours, or another node's; then it is set, or another of its machines speaks."""
        source = await self.make_sessions()
        for number, (begun, ended) in enumerate(((4.0, 6.0), (6.0, 4.0), (0.0, -1.0), (0.0, -3600.0), (3600.0, 0.0))):
            session = UUID(int=number)
            batch = [
                event(start(session), NOW + begun, accepted=NOW),
                event(complete(session), NOW + ended, accepted=NOW + 0.1),
            ]
            self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, ACCEPTED])
            state = await source.get(session)
            assert state is not None
            self.assertIs(state.progress.status, Status.COMPLETED)

    async def test_sessions_order_is_that_of_each_source(self) -> None:
        """Stored with the session: also for the next node, and for later events."""
        source = await self.make_sessions()
        await self.verdicts(source, [event(start(), source="session"), event(progress(50.0), NOW + 9, source="one")])
        late = event(progress(40.0), NOW + 8, accepted=NOW + 10, source="one")
        other = event(progress(51.0), NOW + 7, accepted=NOW + 10, source="two")
        set_back = event(progress(52.0), NOW - 600, accepted=NOW + 11, source="one")
        self.assertEqual(await self.verdicts(source, [late, other, set_back]), [REJECTED, ACCEPTED, ACCEPTED])
        state = await source.get(SESSION)
        assert state is not None
        self.assertEqual((state.progress.percent, state.progress.anchor), (52.0, NOW + 11))

    async def test_sessions_foreign_event(self) -> None:
        """An event of another source's kind is rejected, not applied and not raised."""
        source = await self.make_sessions()
        self.assertEqual(await self.verdicts(source, [event(queued(1), session_id=SESSION)]), [REJECTED])
        self.assertIsNone(await source.get(SESSION))

    async def test_sessions_watch_answers_as_get(self) -> None:
        source = await self.make_sessions()
        self.assertIsNone(await source.watch(SESSION, SessionRecorder()))
        await self.verdicts(source, [event(start())])
        self.assertEqual(await source.watch(SESSION, SessionRecorder()), await source.get(SESSION))

    async def test_sessions_watch_before_start(self) -> None:
        source = await self.make_sessions()
        listener = SessionRecorder()
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual(listener.heard, [await source.get(SESSION)])

    async def test_sessions_changes_in_order_once(self) -> None:
        source = await self.make_sessions()
        await self.verdicts(source, [event(start())])
        listener = SessionRecorder()
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(progress(percent), NOW + percent) for percent in (1.0, 2.0, 3.0)])
        await self.verdicts(source, [event(complete(), NOW + 4)])
        self.assertEqual(listener.versions, [2, 3, 4, 5])
        for state in listener.heard:
            self.assertIsInstance(state, SessionState)
        last = listener.heard[-1]
        assert last is not None
        self.assertIs(last.progress.status, Status.COMPLETED)

    async def test_sessions_two_subscriptions_one_watch(self) -> None:
        source = await self.make_sessions()
        listener = SessionRecorder()
        await source.watch(SESSION, listener)
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual(listener.versions, [1])

    async def test_sessions_only_the_watched(self) -> None:
        source = await self.make_sessions()
        listener, other = SessionRecorder(), SessionRecorder()
        await source.watch(SESSION, listener)
        await source.watch(OTHER_SESSION, other)
        await self.verdicts(source, [event(start(OTHER_SESSION))])
        self.assertEqual((listener.versions, other.versions), ([], [1]))

    async def test_sessions_unwatch(self) -> None:
        source = await self.make_sessions()
        listener, other = SessionRecorder(), SessionRecorder()
        await source.watch(SESSION, listener)
        await source.watch(SESSION, other)
        source.unwatch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual((listener.versions, other.versions), ([], [1]))

    async def test_sessions_unwatch_unknown(self) -> None:
        source = await self.make_sessions()
        source.unwatch(SESSION, SessionRecorder())

    async def test_sessions_terminal_stays_readable(self) -> None:
        source = await self.make_sessions()
        await self.verdicts(source, [event(start()), event(fail(), NOW + 1)])
        state = await source.get(SESSION)
        assert state is not None
        self.assertIs(state.progress.status, Status.FAILED)
        self.assertEqual(state.progress.failure_reason, "timeout")
        self.assertEqual(await source.count(), 1)


class MaterialSourceContract(_ProviderContract):
    """For an `IMaterialSource`; `make_materials` gives an empty one."""

    async def make_materials(self) -> IMaterialSource:
        """The provider under test."""
        raise NotImplementedError

    async def test_materials_interface(self) -> None:
        verifyObject(IMaterialSource, await self.make_materials())

    async def test_materials_empty(self) -> None:
        source = await self.make_materials()
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual(await source.watch(SESSION, MaterialRecorder()), MaterialsState(SESSION))
        self.assertEqual(await source.apply([]), [])

    async def test_materials_start(self) -> None:
        source = await self.make_materials()
        self.assertEqual(await self.verdicts(source, [event(start())]), [ACCEPTED])
        state = await source.get(SESSION)
        self.assertIsInstance(state, MaterialsState)
        self.assertEqual((state.session_id, state.version, state.since), (SESSION, 1, NOW))
        self.assertEqual(
            [(item.material_id, item.quantity, item.quality) for item in state.materials], [(IRON, 10, 50)]
        )

    async def test_materials_update_without_start(self) -> None:
        source = await self.make_materials()
        update = event(quantity(3), NOW + 1)
        self.assertEqual(await self.verdicts(source, [update]), [REJECTED])
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual(await self.verdicts(source, [event(start()), update]), [ACCEPTED, ACCEPTED])

    async def test_materials_change_is_delivered(self) -> None:
        source = await self.make_materials()
        await self.verdicts(source, [event(start())])
        listener = MaterialRecorder()
        self.assertEqual((await source.watch(SESSION, listener)).version, 1)
        await self.verdicts(source, [event(quantity(3), NOW + 1), event(quantity(2, COPPER), NOW + 2)])
        self.assertEqual([change.state.version for change in listener.heard], [2, 3])
        for change in listener.heard:
            self.assertIsInstance(change, MaterialsChange)
        self.assertEqual(listener.heard[0].changes, quantity(3).changes)
        self.assertEqual(listener.heard[0].accepted, NOW + 1)
        state = await source.get(SESSION)
        self.assertEqual(listener.heard[-1].state, state)
        self.assertEqual([(item.material_id, item.quantity) for item in state.materials], [(IRON, 3), (COPPER, 2)])

    async def test_materials_notification_is_delivered(self) -> None:
        source = await self.make_materials()
        short = MaterialNotification(
            material_id=IRON,
            notification_type=MaterialProblem.INSUFFICIENT_QUANTITY,
            required_quantity=5,
            available_quantity=2,
        )
        await self.verdicts(source, [event(start())])
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(MaterialsUpdate(session_id=SESSION, notifications=(short,)), NOW + 1)])
        self.assertEqual([change.notifications for change in listener.heard], [(short,)])
        (iron,) = (await source.get(SESSION)).materials
        self.assertEqual((iron.quantity, iron.problem), (2, short))

    async def test_materials_duplicate(self) -> None:
        source = await self.make_materials()
        begun, update = event(start()), event(quantity(3), NOW + 1)
        await self.verdicts(source, [begun, update])
        listener = MaterialRecorder()
        before = await source.watch(SESSION, listener)
        self.assertEqual(await self.verdicts(source, [update, begun]), [DUPLICATE, DUPLICATE])
        self.assertEqual(await source.get(SESSION), before)
        self.assertEqual(listener.heard, [])

    async def test_materials_out_of_order(self) -> None:
        source = await self.make_materials()
        batch = [event(start()), event(quantity(3), NOW + 5), event(quantity(9), NOW + 4), event(quantity(2), NOW + 6)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, ACCEPTED, REJECTED, ACCEPTED])
        self.assertEqual((await source.get(SESSION)).version, 3)

    async def test_materials_foreign_event(self) -> None:
        source = await self.make_materials()
        batch = [event(start()), event(pause(), NOW + 1), event(queued(1), NOW + 1, session_id=SESSION)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, REJECTED, REJECTED])
        self.assertEqual((await source.get(SESSION)).version, 1)

    async def test_materials_two_subscriptions_one_watch(self) -> None:
        source = await self.make_materials()
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual(len(listener.heard), 1)

    async def test_materials_unwatch(self) -> None:
        source = await self.make_materials()
        listener, other = MaterialRecorder(), MaterialRecorder()
        source.unwatch(SESSION, listener)
        await source.watch(SESSION, listener)
        await source.watch(SESSION, other)
        source.unwatch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual((len(listener.heard), len(other.heard)), (0, 1))

    async def test_materials_sessions_apart(self) -> None:
        source = await self.make_materials()
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        brought = SessionStart(
            session_id=OTHER_SESSION, recipe_id=RECIPE, player_id=PLAYER, materials=(EventMaterial(COPPER, 1),)
        )
        await self.verdicts(source, [event(brought)])
        self.assertEqual(listener.heard, [])
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual((await source.get(OTHER_SESSION)).version, 1)


class QueueSourceContract(_ProviderContract):
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


class BackendContract(SessionSourceContract, MaterialSourceContract, QueueSourceContract):
    """For an `IBackend`, and for its three sources; `make_backend` gives an empty one, ready for use."""

    async def make_backend(self) -> IBackend:
        """The provider under test."""
        raise NotImplementedError

    async def make_sessions(self) -> ISessionSource:
        """As in `SessionSourceContract`."""
        return (await self.make_backend()).sessions

    async def make_materials(self) -> IMaterialSource:
        """As in `MaterialSourceContract`."""
        return (await self.make_backend()).materials

    async def make_queues(self) -> IQueueSource:
        """As in `QueueSourceContract`."""
        return (await self.make_backend()).queues

    async def test_backend_interfaces(self) -> None:
        backend = await self.make_backend()
        verifyObject(IBackend, backend)
        verifyObject(ISessionSource, backend.sessions)
        verifyObject(IMaterialSource, backend.materials)
        verifyObject(IQueueSource, backend.queues)

    async def test_backend_one_event_two_sources(self) -> None:
        """A start goes to the sessions and to the materials; neither takes it for the other's duplicate."""
        backend = await self.make_backend()
        begun = event(start())
        self.assertEqual(await self.verdicts(backend.sessions, [begun]), [ACCEPTED])
        self.assertEqual(await self.verdicts(backend.materials, [begun]), [ACCEPTED])
