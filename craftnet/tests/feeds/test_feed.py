"""Feeds: the snapshot, the changes, and what need not be delivered."""

from __future__ import annotations

from msgspec.structs import replace

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import MaterialsUpdate, SessionProgress
from craftnet.contract.messages import (
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    Station,
    Status,
    rfc3339,
)
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update
from craftnet.errors import NotFound
from craftnet.tests.contracts.source import complete, pause, quantity, queued
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.feed_case import Reacting, SessionFeedTestCase, positions, progress_of, report
from craftnet.tests.support.samples import IRON, NOW, OTHER_PLAYER, OTHER_SESSION, SESSION, event, start


class SnapshotTests(SessionFeedTestCase):
    def test_progress_and_materials(self) -> None:
        self.happen(event(start()))
        self.clock.advance(15.0)
        watcher = self.joined(self.feed())
        delivered, materials = watcher.updates
        self.assertEqual(progress_of(delivered), (25, 45))
        self.assertIsInstance(delivered.state, SessionState)
        self.assertIsNone(delivered.accepted)
        self.assertEqual(materials.messages, ())

    def test_problems_that_stand(self) -> None:
        short = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY)
        self.happen(event(start()), event(MaterialsUpdate(session_id=SESSION, notifications=(short,))))
        self.assertEqual(self.joined(self.feed()).types, ["progress_update", "material_notification"])

    def test_queue_positions(self) -> None:
        """Those of the session, and those of its player that name no session."""
        self.happen(event(start()))
        self.happen(event(queued(3), session_id=SESSION), event(queued(7), session_id=OTHER_SESSION))
        self.happen(event(queued(5, station=Station.VEHICLE_BAY)))
        watcher = self.joined(self.feed())
        self.assertEqual(positions(watcher.updates), [3, 5])
        self.assertEqual(watcher.types, ["progress_update", "queue_status", "queue_status"])

    def test_finished_session(self) -> None:
        self.happen(event(start()), event(complete(), NOW + 1))
        watcher = self.joined(self.feed())
        self.assertEqual(watcher.types, ["crafting_complete"])
        self.assertTrue(watcher.updates[0].terminal)
        self.assertEqual(watcher.codes, [])

    def test_no_such_session(self) -> None:
        feed = self.feed()
        watcher = RecordingWatcher()
        self.failureResultOf(feed.subscribe(watcher), NotFound)
        self.assertEqual((watcher.updates, watcher.codes, feed.subscribed), ([], [], False))
        self.assertEqual(self.counts, [1, -1])
        self.assert_no_listeners()

    def test_second_watcher_holds_what_the_first_holds(self) -> None:
        """Not the newest truth, from which the first differs within the tolerance."""
        self.happen(event(start()))
        feed = self.feed()
        first = self.joined(feed)
        self.clock.advance(10.0)
        self.happen(event(report(16.9, 50.2), NOW + 10))
        second = self.joined(feed)
        self.assertEqual(len(first.updates), 2)
        held, shown = first.updates[0].state, second.updates[0].state
        assert isinstance(held, SessionState)
        assert isinstance(shown, SessionState)
        self.assertEqual(held, shown)


class ChangeTests(SessionFeedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.happen(event(start()))
        self.watched = self.feed()
        self.watcher = self.joined(self.watched)
        self.watcher.updates.clear()

    def after(self, seconds: float, *data: SessionProgress) -> list[Update]:
        """What watchers receive for reports at these times after the start, seconds."""
        self.clock.advance(seconds)
        self.happen(*(event(item, NOW + seconds) for item in data))
        return self.watcher.updates

    def test_agreement_is_not_delivered(self) -> None:
        self.assertEqual(self.after(30.0, report(50.0, 30.0)), [])

    def test_agreement_within_the_tolerance_is_not_delivered(self) -> None:
        self.assertEqual(self.after(30.0, report(50.4, 29.8)), [])

    def test_divergence_is_delivered(self) -> None:
        (update,) = self.after(30.0, report(51.0, 30.0))
        self.assertEqual((progress_of(update), update.accepted), ((51, 30), NOW + 30))
        self.assertTrue(update.conflatable)

    def test_divergence_of_remaining_time_is_delivered(self) -> None:
        (update,) = self.after(30.0, report(50.0, 31.0))
        self.assertEqual(progress_of(update), (50, 31))

    def test_divergence_within_the_horizon_is_delivered(self) -> None:
        """The two agree now, and would be 1.4 points apart before the next refresh."""
        self.happen(event(report(50.0, 6.0), NOW))
        self.watcher.updates.clear()
        self.assertEqual(len(self.after(0.0, report(50.0, 5.8))), 1)

    def test_divergence_beyond_the_horizon_is_not_delivered(self) -> None:
        """As above, but a slow craft does not come that far until the refresh."""
        self.happen(event(report(50.0, 30.0), NOW))
        self.watcher.updates.clear()
        self.assertEqual(self.after(0.0, report(50.0, 29.8)), [])

    def test_slow_drift_adds_up(self) -> None:
        """The comparison is with what watchers hold, not with the previous report."""
        delivered = []
        for step in range(1, 11):
            self.clock.advance(1.0)
            self.happen(event(report(step * 100 / 60 + step * 0.1, 60.0 - step - step * 0.06), NOW + step))
            delivered.append(len(self.watcher.updates))
        self.assertEqual(delivered[0], 0)
        self.assertGreaterEqual(delivered[-1], 1)

    def test_every_discrete_change_is_delivered(self) -> None:
        self.happen(event(pause(), NOW))
        self.happen(event(replace(report(0.0, 60.0, Status.PAUSED), current_quality=5), NOW))
        self.happen(event(replace(report(0.0, 60.0, Status.PAUSED), target_quality=9), NOW))
        self.happen(event(report(0.0, 60.0), NOW))
        statuses = [
            update.state.progress.status for update in self.watcher.updates if isinstance(update.state, SessionState)
        ]
        self.assertEqual(statuses, [Status.PAUSED] * 3 + [Status.ACTIVE])

    def test_end_is_delivered_and_is_terminal(self) -> None:
        self.happen(event(complete(), NOW + 1))
        (update,) = self.watcher.updates
        self.assertEqual((self.watcher.types, update.terminal), (["crafting_complete"], True))
        self.assertEqual(self.watcher.codes, [])

    def test_forgotten_session_ends_the_feed(self) -> None:
        other = self.joined(self.watched)
        self.happen(event(complete(), NOW + 1))
        self.clock.advance(30.0)
        self.memory.sessions.expire()
        self.assertEqual((self.watcher.codes, other.codes), ([CloseCode.NORMAL], [CloseCode.NORMAL]))
        self.assertFalse(self.watched.subscribed)
        self.assertEqual(sum(self.counts), 0)
        self.assert_no_listeners()

    def test_materials(self) -> None:
        self.happen(event(quantity(3), NOW + 1))
        short = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY)
        self.happen(event(MaterialsUpdate(session_id=SESSION, notifications=(short,)), NOW + 2))
        self.assertEqual(self.watcher.types, ["material_notification"])
        self.assertEqual([update.accepted for update in self.watcher.updates], [NOW + 1, NOW + 2])
        self.assertEqual(self.joined(self.watched).types, ["progress_update", "material_notification"])

    def test_queue(self) -> None:
        self.happen(event(queued(3), session_id=SESSION), event(queued(9), session_id=OTHER_SESSION))
        self.happen(event(queued(5, station=Station.VEHICLE_BAY)))
        self.happen(event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1, session_id=SESSION))
        self.assertEqual(positions(self.watcher.updates), [3, 5, 1])
        self.assertEqual(positions(self.joined(self.watched).updates), [5])

    def test_refresh_repeats_running_sessions(self) -> None:
        self.clock.advance(15.0)
        self.watched.refresh()
        (update,) = self.watcher.updates
        self.assertEqual((progress_of(update), update.accepted), ((25, 45), None))

    def test_refresh_delivers_the_authoritys_state(self) -> None:
        """Not what watchers hold, from which it may differ within the tolerance."""
        self.after(30.0, report(50.4, 29.8))
        self.watched.refresh()
        (update,) = self.watcher.updates
        assert isinstance(update.state, SessionState)
        self.assertEqual((update.state.version, update.state.progress.percent), (2, 50.4))

    def test_a_clock_that_is_set_moves_no_bar(self) -> None:
        """Of those who watch, and of those who come; messages are dated by the clock as it is set."""
        for step in (-3600.0, 7200.0):
            self.clock.step(step)
            self.clock.advance(15.0)
            self.watched.refresh()
            newcomer = self.joined(self.watched)
            for update in (self.watcher.updates[-1], newcomer.updates[0]):
                self.assertEqual(progress_of(update)[0], round((self.clock.seconds() - NOW) / 0.6))
                self.assertEqual(update.messages[0].timestamp, rfc3339(self.clock.wall()))

    def test_refresh_leaves_alone_what_stands(self) -> None:
        self.happen(event(pause(), NOW))
        self.watched.refresh()
        self.happen(event(complete(), NOW + 1))
        self.watched.refresh()
        self.assertEqual(len(self.watcher.updates), 2)

    def test_left_watchers_hear_nothing(self) -> None:
        other = self.joined(self.watched)
        other.updates.clear()
        self.watched.unsubscribe(self.watcher)
        self.watched.unsubscribe(self.watcher)
        self.happen(event(pause(), NOW))
        self.assertEqual((len(self.watcher.updates), len(other.updates)), (0, 1))
        self.assertEqual(sum(self.counts), 1)
        self.watched.unsubscribe(other)
        self.assert_no_listeners()

    def test_watcher_that_leaves_during_the_snapshot(self) -> None:
        leaving = Reacting(1, lambda: self.watched.unsubscribe(leaving))
        self.successResultOf(self.watched.subscribe(leaving))
        self.happen(event(pause(), NOW))
        self.assertEqual((len(leaving.updates), len(self.watcher.updates)), (1, 1))
        self.assertEqual(sum(self.counts), 1)

    def test_watcher_that_another_makes_leave(self) -> None:
        """It receives nothing more, although it was due."""
        feed = self.feed()
        victim = RecordingWatcher()
        killer = Reacting(2, lambda: feed.unsubscribe(victim))
        for watcher in (killer, victim):
            self.successResultOf(feed.subscribe(watcher))
        killer.updates.clear()
        victim.updates.clear()
        for version in (1, 2):
            self.happen(event(pause() if version == 1 else complete(), NOW + version))
        self.assertEqual((len(killer.updates), len(victim.updates)), (2, 1))


class WaitingSessionTests(SessionFeedTestCase):
    """A session that has a place in a queue and has not started."""

    def setUp(self) -> None:
        super().setUp()
        self.happen(event(queued(2), session_id=SESSION))

    def test_snapshot(self) -> None:
        self.assertEqual(self.joined(self.feed()).types, ["queue_status"])

    def test_then_it_starts(self) -> None:
        feed = self.feed()
        watcher = self.joined(feed)
        self.happen(
            event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1, session_id=SESSION), event(start(), NOW + 2)
        )
        self.assertEqual(watcher.types, ["queue_status", "queue_status", "progress_update"])
        self.assertEqual(self.joined(feed).types, ["progress_update"])

    def test_entry_of_another_player(self) -> None:
        """Whose queue is listened to is who waits."""
        watcher = self.joined(self.feed())
        self.happen(event(queued(1, player_id=OTHER_PLAYER)))
        self.assertEqual(len(watcher.updates), 1)
