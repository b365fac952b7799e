"""Tests feeds whose sources answer late."""

from __future__ import annotations

from uuid import UUID

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import (
    QueueMessageType,
    Status,
)
from craftnet.crafting.state import SessionState
from craftnet.errors import Unavailable
from craftnet.tests.contracts.source import complete, pause, quantity, queued
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.feed_case import SessionFeedTestCase
from craftnet.tests.support.samples import NOW, OTHER_SESSION, SESSION, event, start


class LateOpeningTests(SessionFeedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.happen(event(start()))
        self.late = True

    def test_watchers_that_join_meanwhile(self) -> None:
        """Each gets its snapshot, once, and the sources are asked once."""
        feed = self.feed()
        watchers = [RecordingWatcher() for _ in range(3)]
        waiting = [feed.subscribe(watchers[0])]
        self.answer(1)
        waiting += [feed.subscribe(watcher) for watcher in watchers[1:]]
        for deferred in waiting:
            self.assertNoResult(deferred)
        self.answer()
        for deferred in waiting:
            self.successResultOf(deferred)
        self.assertEqual([watcher.types for watcher in watchers], [["progress_update"]] * 3)
        self.assertEqual(len(self.sessions.listening), 1)
        self.assertEqual(self.counts, [1, 1, 1])

    def test_changes_meanwhile_are_in_the_snapshot(self) -> None:
        for answered in range(4):
            self.pending.clear()
            session_id = UUID(int=100 + answered)
            self.happen(event(start(session_id)))
            feed = self.feed(session_id)
            watcher = RecordingWatcher()
            waiting = feed.subscribe(watcher)
            self.answer(answered)
            paused = pause(session_id)
            self.happen(event(paused, NOW + 1))
            self.answer()
            self.successResultOf(waiting)
            states = [update.state for update in watcher.updates if isinstance(update.state, SessionState)]
            self.assertIs(states[-1].progress.status, Status.PAUSED, answered)
            self.assertEqual(states[-1].version, 2)

    def test_leaving_meanwhile_leaves_no_listener(self) -> None:
        for answered in range(4):
            feed = self.feed()
            watcher = RecordingWatcher()
            waiting = feed.subscribe(watcher)
            self.answer(answered)
            feed.unsubscribe(watcher)
            self.answer()
            self.successResultOf(waiting)
            self.assert_no_listeners()
            self.assertEqual((sum(self.counts), bool(watcher.updates)), (0, answered > 2))

    def test_leaving_before_a_failure_leaves_no_listener(self) -> None:
        feed = self.feed()
        watcher = RecordingWatcher()
        waiting = feed.subscribe(watcher)
        feed.unsubscribe(watcher)
        self.queues.failure = Unavailable("The queues do not answer.")
        self.answer()
        self.failureResultOf(waiting, Unavailable)
        self.assert_no_listeners()

    def test_one_leaves_and_one_stays(self) -> None:
        feed = self.feed()
        leaving, staying = RecordingWatcher(), RecordingWatcher()
        feed.subscribe(leaving)
        waiting = feed.subscribe(staying)
        feed.unsubscribe(leaving)
        self.answer()
        self.successResultOf(waiting)
        self.assertEqual((leaving.types, staying.types), ([], ["progress_update"]))

    def test_source_out_of_reach(self) -> None:
        for source in (self.sessions, self.materials, self.queues):
            feed = self.feed()
            watchers = [RecordingWatcher(), RecordingWatcher()]
            waiting = [feed.subscribe(watcher) for watcher in watchers]
            source.failure = Unavailable("It does not answer.")
            self.answer()
            for deferred in waiting:
                self.failureResultOf(deferred, Unavailable)
            self.assertEqual([watcher.updates for watcher in watchers], [[], []])
            self.assertEqual(sum(self.counts), 0)
            self.assert_no_listeners()
            source.failure = None

    def test_forgotten_meanwhile(self) -> None:
        self.happen(event(complete(), NOW + 1))
        feed = self.feed()
        watcher = RecordingWatcher()
        waiting = feed.subscribe(watcher)
        self.answer(1)
        self.clock.advance(30.0)
        self.memory.sessions.expire()
        self.answer()
        self.successResultOf(waiting)
        self.assertEqual((watcher.updates, watcher.codes), ([], [CloseCode.NORMAL]))
        self.assert_no_listeners()

    def test_started_while_its_entry_is_looked_for(self) -> None:
        feed = self.feed(OTHER_SESSION)
        watcher = RecordingWatcher()
        waiting = feed.subscribe(watcher)
        self.answer(1)
        self.happen(event(start(OTHER_SESSION)))
        self.answer()
        self.successResultOf(waiting)
        self.assertEqual(watcher.types, ["progress_update"])

    def test_entry_that_ends_meanwhile(self) -> None:
        """The older answer does not bring it back."""
        self.happen(event(queued(2), session_id=SESSION))
        feed = self.feed()
        watcher = RecordingWatcher()
        feed.subscribe(watcher)
        self.answer(2)
        self.happen(event(queued(1, QueueMessageType.QUEUE_TIMEOUT), NOW + 1, session_id=SESSION))
        self.answer()
        self.assertEqual(watcher.types, ["progress_update"])

    def test_materials_meanwhile(self) -> None:
        feed = self.feed()
        watcher = RecordingWatcher()
        feed.subscribe(watcher)
        self.answer(1)
        self.happen(event(quantity(3), NOW + 1))
        self.answer()
        materials = watcher.updates[-1].state
        assert materials is not None
        self.assertEqual(getattr(materials, "state", None), self.successResultOf(self.memory.materials.get(SESSION)))
