"""Tests for `craftnet.feeds.queue_feed`."""

from __future__ import annotations

from uuid import UUID

from craftnet.contract.messages import (
    QueueMessageType,
    Station,
)
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.feed import FeedContext
from craftnet.feeds.queue_feed import QueueFeed
from craftnet.tests.contracts.source import queued
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.feed_case import FeedTestCase, positions
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, event


class QueueFeedTests(FeedTestCase):
    def feed(self) -> QueueFeed:
        def counted(_: UUID, change: int) -> None:
            self.counts.append(change)
            if not feed.subscribed:
                feed.close()

        epochs = FeedEpochs(self.sources)
        feed = QueueFeed(PLAYER, FeedContext(counted, self.returns.append, epochs, self.sources, self.clock))
        return feed

    def test_empty_snapshot(self) -> None:
        self.assertEqual(self.joined(self.feed()).updates, [])

    def test_snapshot_of_all_stations(self) -> None:
        self.happen(event(queued(2)), event(queued(4, QueueMessageType.PRIORITY_BOOST, station=Station.VEHICLE_BAY)))
        watcher = self.joined(self.feed())
        self.assertEqual(positions(watcher.updates), [2, 4])
        self.assertEqual(watcher.types, ["queue_position", "queue_position"])
        self.assertEqual([update.accepted for update in watcher.updates], [None, None])

    def test_changes(self) -> None:
        feed = self.feed()
        watcher = self.joined(feed)
        self.happen(event(queued(3)), event(queued(2, QueueMessageType.PRIORITY_BOOST), NOW + 1))
        self.happen(event(queued(1, player_id=OTHER_PLAYER)))
        self.assertEqual(positions(self.joined(feed).updates), [2])
        self.happen(event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 2))
        self.assertEqual(watcher.types, ["queue_position", "priority_boost", "station_available"])
        self.assertEqual([update.accepted for update in watcher.updates], [NOW, NOW + 1, NOW + 2])
        self.assertEqual(self.joined(feed).updates, [])

    def test_last_one_closes(self) -> None:
        feed = self.feed()
        first, second = self.joined(feed), self.joined(feed)
        feed.unsubscribe(first)
        self.assertEqual(len(self.queues.listening), 1)
        feed.unsubscribe(second)
        self.assert_no_listeners()

    def test_joining_while_it_opens(self) -> None:
        self.happen(event(queued(2)))
        self.late = True
        feed = self.feed()
        watchers = [RecordingWatcher(), RecordingWatcher()]
        waiting = [feed.subscribe(watcher) for watcher in watchers]
        self.happen(event(queued(1), NOW + 1))
        self.answer()
        for deferred in waiting:
            self.successResultOf(deferred)
        self.assertEqual([positions(watcher.updates) for watcher in watchers], [[1], [1]])

    def test_leaving_while_it_opens(self) -> None:
        self.late = True
        feed = self.feed()
        watcher = RecordingWatcher()
        waiting = feed.subscribe(watcher)
        feed.unsubscribe(watcher)
        self.answer()
        self.successResultOf(waiting)
        self.assert_no_listeners()

    def test_entry_that_ends_while_it_opens(self) -> None:
        """The older answer does not bring it back."""
        self.happen(event(queued(2)), event(queued(4, station=Station.VEHICLE_BAY)))
        self.late = True
        feed = self.feed()
        watcher = RecordingWatcher()
        feed.subscribe(watcher)
        self.happen(event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1))
        self.answer()
        self.assertEqual(positions(watcher.updates), [4])
