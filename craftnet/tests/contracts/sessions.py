"""What every source of sessions must do."""

from __future__ import annotations

from uuid import UUID

from zope.interface.verify import verifyObject

from craftnet.contract.messages import (
    Status,
)
from craftnet.crafting.state import SessionState
from craftnet.interfaces import (
    ISessionSource,
)
from craftnet.tests.contracts.source import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    SessionRecorder,
    SourceContract,
    complete,
    fail,
    pause,
    progress,
    queued,
)
from craftnet.tests.support.samples import (
    NOW,
    OTHER_SESSION,
    PLAYER,
    RECIPE,
    SESSION,
    event,
    start,
)


class SessionSourceContract(SourceContract):
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
