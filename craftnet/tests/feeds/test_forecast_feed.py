"""A feed whose messages say how long the craft is expected to take."""

from __future__ import annotations

from craftnet.contract.events import SessionComplete, SessionPause
from craftnet.contract.messages import CraftingProgressData, WebSocketCraftingMessage
from craftnet.crafting.progress import Expectation, Tolerance
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.forecast_feed import ForecastFeed
from craftnet.feeds.hub import Hub
from craftnet.feeds.session_feed import SessionFeedContext
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.core.subprotocols import BINARY
from craftnet.protocols.wire.codec import decode_progress
from craftnet.tests.support.fakes import RecordingWatcher
from craftnet.tests.support.feed_case import HORIZON, FeedTestCase, report
from craftnet.tests.support.samples import IRON, NOW, SESSION, event, start


class Factor:
    """Forecasts that every craft takes as many times as long as the authority says; None: nothing."""

    def __init__(self, p50: float | None) -> None:
        self.p50 = p50

    def expectation(self, state: SessionState) -> Expectation | None:
        remaining = state.progress.remaining
        if self.p50 is None or not state.progress.moving or remaining is None:
            return None
        return Expectation(self.p50 * remaining, 1.2 * self.p50 * remaining)


def data_of(update: Update) -> CraftingProgressData:
    (message,) = update.messages
    assert isinstance(message, WebSocketCraftingMessage)
    assert message.progress_data is not None
    return message.progress_data


def shown(watcher: RecordingWatcher) -> list[Update]:
    """The updates of progress."""
    return [update for update in watcher.updates if isinstance(update.state, SessionState)]


def figures(update: Update) -> tuple[int, int | None, int | None, int | None]:
    """The percentage, the authority's remaining time, and the expected times."""
    data = data_of(update)
    return (
        data.progress_percentage,
        data.remaining_time_seconds,
        data.expected_seconds_p50,
        data.expected_seconds_p90,
    )


class ForecastFeedTests(FeedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.factor = Factor(1.25)
        self.metrics = Metrics()
        self.happen(event(start(seconds=100.0), NOW))

    def feed(self) -> ForecastFeed:
        context = SessionFeedContext(
            *(lambda key, change: None, self.returns.append, FeedEpochs(self.sources), self.sources, self.clock),
            tolerance=Tolerance(),
            horizon=HORIZON,
            corrections=self.metrics.corrections,
        )
        return ForecastFeed(SESSION, context, self.factor)

    def expecting(self, feed: ForecastFeed) -> RecordingWatcher:
        """A watcher that extrapolates by the expectation and has its snapshot."""
        watcher = RecordingWatcher()
        feed.expect(watcher)
        self.successResultOf(feed.subscribe(watcher))
        return watcher

    def at(self, seconds: float, percent: float, remaining: float) -> None:
        """A report, so many seconds after the start."""
        self.clock.advance(NOW + seconds - self.clock.seconds())
        self.happen(event(report(percent, remaining), NOW + seconds))

    def test_says_what_is_expected_to_all(self) -> None:
        feed = self.feed()
        for watcher in (self.joined(feed), self.expecting(feed)):
            self.assertEqual(figures(shown(watcher)[0]), (0, 100, 125, 150))

    def test_those_who_go_by_it_need_no_correction(self) -> None:
        feed = self.feed()
        other, expecting = self.joined(feed), self.expecting(feed)
        self.at(10.0, 8.0, 92.0)  # as the forecast says: 125 s in all.
        self.assertEqual([figures(each)[:3] for each in shown(other)[1:]], [(8, 92, 115)])
        self.assertEqual(shown(expecting)[1:], [])
        self.at(20.0, 20.0, 80.0)  # as the authority said first.
        self.assertEqual([figures(each)[:3] for each in shown(expecting)[1:]], [(20, 80, 100)])

    def test_the_authority_is_followed_where_nothing_is_expected(self) -> None:
        self.factor.p50 = None
        feed = self.feed()
        other, expecting = self.joined(feed), self.expecting(feed)
        self.at(10.0, 10.0, 90.0)
        self.assertEqual((len(shown(other)), len(shown(expecting))), (1, 1))
        self.assertEqual(figures(shown(expecting)[0]), (0, 100, None, None))

    def test_states_the_percentage_of_the_model_between_records(self) -> None:
        feed = self.feed()
        other, expecting = self.joined(feed), self.expecting(feed)
        self.clock.advance(25.0)
        feed.refresh()
        self.assertEqual(figures(shown(other)[-1]), (25, 75, 100, 125))
        self.assertEqual(figures(shown(expecting)[-1]), (20, 75, 100, 125))

    def test_never_completes_and_never_counts_below_zero(self) -> None:
        self.factor.p50 = 0.5
        expecting = self.expecting(feed := self.feed())
        self.clock.advance(70.0)
        feed.refresh()
        self.assertEqual(figures(shown(expecting)[-1]), (99, 30, 0, 0))
        self.happen(event(SessionComplete(session_id=SESSION, result_item_id=IRON), NOW + 70.0))
        done = shown(expecting)[-1]
        self.assertTrue(done.terminal)
        self.assertEqual(figures(done), (100, 0, None, None))

    def test_says_nothing_of_a_craft_that_stands_still(self) -> None:
        expecting = self.expecting(self.feed())
        self.happen(event(SessionPause(session_id=SESSION, pause_reason="player_afk"), NOW + 0.0))
        self.assertEqual(figures(shown(expecting)[-1])[2:], (None, None))

    def test_a_watcher_that_joins_later_holds_what_those_like_it_hold(self) -> None:
        feed = self.feed()
        self.expecting(feed)
        self.joined(feed)
        self.clock.advance(25.0)
        late_expecting, late = self.expecting(feed), self.joined(feed)
        self.assertEqual(figures(shown(late_expecting)[0]), (20, 75, 100, 125))
        self.assertEqual(figures(shown(late)[0]), (25, 75, 100, 125))

    def test_records_are_of_the_model_that_a_watcher_goes_by(self) -> None:
        feed = self.feed()
        other, expecting = self.joined(feed), self.expecting(feed)
        self.clock.advance(25.0)
        feed.refresh()
        for watcher, functions in (
            (other, [(0.0, 100.0), (25.0, 75.0)]),
            (expecting, [(0.0, 125.0), (20.0, 100.0)]),
        ):
            states = [update.state for update in shown(watcher)]
            self.assertEqual(
                [(each.progress.percent, each.progress.remaining) for each in states if isinstance(each, SessionState)],
                functions,
            )
            record = decode_progress(shown(watcher)[-1].encoded(encoding(BINARY))[-48:])
            self.assertEqual((record.percent, record.remaining), functions[-1])

    def test_those_who_left_need_nothing(self) -> None:
        feed = self.feed()
        expecting, other = self.expecting(feed), self.joined(feed)
        feed.unsubscribe(expecting)
        self.at(10.0, 8.0, 92.0)
        self.assertEqual((len(shown(expecting)), len(shown(other))), (1, 2))
        again = self.expecting(feed)
        self.assertEqual(figures(shown(again)[0])[:3], (8, 92, 115))

    def test_an_equal_subscriber_leaves_for_the_other(self) -> None:
        class Equal(RecordingWatcher):
            def __eq__(self, other: object) -> bool:
                return isinstance(other, Equal)

            __hash__ = RecordingWatcher.__hash__

        feed, watcher = self.feed(), Equal()
        feed.expect(watcher)
        self.successResultOf(feed.subscribe(watcher))
        feed.unsubscribe(Equal())
        self.assertFalse(feed.subscribed)
        self.clock.advance(25.0)
        self.successResultOf(feed.subscribe(watcher))  # this time it does not go by the expectation.
        feed.refresh()
        self.assertEqual(figures(shown(watcher)[-1])[0], 25)

    def test_counts_corrections_of_both(self) -> None:
        feed = self.feed()
        self.joined(feed)
        self.expecting(feed)
        self.at(10.0, 8.0, 92.0)
        self.assertEqual(sum(self.metrics.corrections.counts), 1)
        self.at(20.0, 30.0, 70.0)
        self.assertEqual(sum(self.metrics.corrections.counts), 3)


class HubTests(FeedTestCase):
    def test_feeds_forecast_only_where_something_does(self) -> None:
        self.happen(event(start(seconds=100.0), NOW))
        for forecaster, wanted in ((None, (0, 100, None, None)), (Factor(1.25), (0, 100, 125, 150))):
            hub, watcher = Hub(self.sources, self.clock, Metrics(), forecaster=forecaster), RecordingWatcher()
            self.successResultOf(hub.subscribe_session(SESSION, watcher, None, True))
            self.assertEqual(figures(shown(watcher)[0]), wanted)
            hub.unsubscribe_session(SESSION, watcher)
