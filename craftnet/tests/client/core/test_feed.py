"""Tests for `craftnet.client.core.feed`."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.feed import WatchedSession, apply_update, update_from_message
from craftnet.clocks import Moment
from craftnet.contract.messages import (
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    QueueStatusData,
    Status,
    WebSocketCraftingMessage,
    rfc3339,
)
from craftnet.crafting.progress import Expectation, Progress
from craftnet.crafting.state import Material, MaterialsState, QueueChange, QueueEntry, QueueState
from craftnet.crafting.updates import materials_snapshot, progress_update, session_queue_update
from craftnet.tests.support.samples import AT, COPPER, IRON, NOW, PLAYER, SESSION, SHORT, message, progress, running

GONE = MaterialNotification(material_id=COPPER, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
QUEUE_STATUS = QueueStatusData(player_id=PLAYER, queue_position=3)


def after(feed: WatchedSession, *messages: WebSocketCraftingMessage) -> WatchedSession:
    """The feed after messages that came alone."""
    for item in messages:
        feed = apply_update(feed, update_from_message(item), NOW)
    return feed


class MessageTests(SynchronousTestCase):
    """How messages change a feed."""

    def test_progress_is_anchored_when_it_arrives(self) -> None:
        late = replace(message("progress_update", progress_data=progress(40)), timestamp=rfc3339(NOW - 3600))
        self.assertEqual(after(WatchedSession(SESSION), late).progress, Progress(Status.ACTIVE, 40.0, NOW, 30.0))

    def test_expected_times_are_those_of_the_newest_progress(self) -> None:
        expected = replace(progress(40), expected_seconds_p50=35, expected_seconds_p90=41)
        known = after(WatchedSession(SESSION), message("progress_update", progress_data=expected))
        self.assertEqual(known.expected, Expectation(35.0, 41.0))
        self.assertEqual(known.progress, Progress(Status.ACTIVE, 40.0, NOW, 30.0))
        self.assertEqual(after(known, message("queue_status", queue_data=QUEUE_STATUS)).expected, known.expected)
        self.assertIsNone(after(known, message("progress_update", progress_data=progress(41))).expected)
        self.assertIsNone(apply_update(known, progress_update(running(), AT), NOW).expected)

    def test_coming_back(self) -> None:
        """Everything is kept when missed messages follow; only the progress when the whole state does."""
        known = after(
            WatchedSession(SESSION),
            message("progress_update", progress_data=progress(40)),
            message("material_notification", material_data=SHORT),
            message("queue_status", queue_data=QUEUE_STATUS),
        )
        self.assertEqual(after(known, message("queue_status", recovered=True)), known)
        self.assertEqual(
            after(known, message("queue_status", recovered=False)), WatchedSession(SESSION, progress=known.progress)
        )

    def test_heartbeat(self) -> None:
        """A position without data changes nothing, not even after the end."""
        for known in (
            after(
                WatchedSession(SESSION),
                message("progress_update", progress_data=progress(40)),
                message("material_notification", material_data=SHORT),
            ),
            after(
                WatchedSession(SESSION), message("crafting_complete", progress_data=progress(100, Status.COMPLETED, 0))
            ),
            WatchedSession(SESSION),
        ):
            self.assertEqual(after(known, message("progress_update", epoch="6c0ffee", version=42)), known)

    def test_complete(self) -> None:
        done = after(
            WatchedSession(SESSION), message("crafting_complete", progress_data=progress(100, Status.COMPLETED, 0))
        )
        self.assertTrue(done.over)

    def test_complete_says_it_all_without_data(self) -> None:
        before = after(WatchedSession(SESSION), message("progress_update", progress_data=progress(40)))
        done = after(before, message("crafting_complete"))
        assert done.progress is not None
        self.assertEqual(done.progress.status, Status.COMPLETED)

    def test_failed_before_anything_was_known(self) -> None:
        failed = after(WatchedSession(SESSION), message("crafting_failed"))
        assert failed.progress is not None
        self.assertEqual(failed.progress.status, Status.FAILED)
        self.assertTrue(failed.over)

    def test_only_the_last_words_are_terminal(self) -> None:
        kinds = ["progress_update", "material_notification", "queue_status", "crafting_complete", "crafting_failed"]
        self.assertEqual(
            [update_from_message(message(kind)).terminal for kind in kinds], [False, False, False, True, True]
        )

    def test_materials(self) -> None:
        feed = after(
            WatchedSession(SESSION),
            message("material_notification", material_data=SHORT),
            message("material_notification", material_data=GONE),
        )
        self.assertEqual(feed.problems, (SHORT, GONE))
        worse = replace(SHORT, available_quantity=1)
        feed = after(feed, message("material_notification", material_data=worse))
        self.assertEqual(feed.problems, (worse, GONE))
        fine = replace(SHORT, notification_type=MaterialProblem.MATERIAL_RESTORED)
        feed = after(feed, message("material_notification", material_data=fine))
        self.assertEqual(feed.problems, (GONE,))

    def test_queue(self) -> None:
        feed = after(WatchedSession(SESSION), message("queue_status", queue_data=QUEUE_STATUS))
        self.assertEqual(feed.queue, QUEUE_STATUS)

    def test_the_rest_stays(self) -> None:
        feed = after(
            WatchedSession(SESSION),
            message("queue_status", queue_data=QUEUE_STATUS),
            message("material_notification", material_data=SHORT),
            message("progress_update", progress_data=progress(40)),
        )
        self.assertEqual((feed.queue, feed.problems), (QUEUE_STATUS, (SHORT,)))


class StateTests(SynchronousTestCase):
    """How states change a feed."""

    def test_a_state_is_more_exact_than_its_message(self) -> None:
        state = running(percent=12.34)
        update = progress_update(state, Moment.agreed(NOW + 1))
        self.assertEqual(apply_update(WatchedSession(SESSION), update, NOW + 1).progress, state.progress)

    def test_a_snapshot_of_materials_replaces_all_problems(self) -> None:
        feed = after(WatchedSession(SESSION), message("material_notification", material_data=SHORT))
        snapshot = MaterialsState(SESSION, 2, (Material(IRON, 3), Material(COPPER, 0, None, GONE)))
        self.assertEqual(apply_update(feed, materials_snapshot(snapshot, AT), NOW).problems, (GONE,))

    def test_leaving_the_queue(self) -> None:
        entry = QueueEntry(QUEUE_STATUS, 1, NOW)

        def deliver(news: QueueMessageType, waiting: bool, feed: WatchedSession) -> UUID | None:
            change = QueueChange(QueueState(PLAYER, 1, (entry,) if waiting else ()), entry, news, waiting)
            queue = apply_update(feed, session_queue_update(SESSION, change, AT), NOW).queue
            return None if queue is None else queue.player_id

        waiting = WatchedSession(SESSION, queue=QUEUE_STATUS)
        self.assertEqual(deliver(QueueMessageType.QUEUE_POSITION, True, WatchedSession(SESSION)), PLAYER)
        self.assertIsNone(deliver(QueueMessageType.STATION_AVAILABLE, False, waiting))
