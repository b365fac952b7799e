"""The feed of one crafting session where crafts are forecast: its messages say how long the craft is expected to take.

Some watchers ask for that with `?expected=1` and extrapolate by it. They hold another model than the others: each
watcher is sent a correction when the model that it holds misleads. Everything else is as in `SessionFeed`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from craftnet.clocks import Moment
from craftnet.contract.close_codes import CloseCode
from craftnet.crafting.progress import Expectation, Progress, expected_model, misled_by, rebase
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update, progress_update
from craftnet.feeds.session_feed import SessionFeed, SessionFeedContext
from craftnet.interfaces import ISubscriber


class Forecaster(Protocol):
    """Forecasts crafts: a `craftnet.forecast.learner.Learner`."""

    def expectation(self, state: SessionState) -> Expectation | None:
        """The expectation, from the anchor of the state's progress; None where the authority's estimate is as good."""


class ForecastFeed(SessionFeed):
    """The feed of one session.

    Arguments:
        forecaster: forecasts how long the craft takes.
    """

    __slots__ = ("_expected", "_expecting", "_forecaster", "_held_model")

    def __init__(self, session_id: UUID, context: SessionFeedContext, forecaster: Forecaster) -> None:
        super().__init__(session_id, context)
        self._forecaster = forecaster
        self._expecting: tuple[ISubscriber, ...] = ()
        # The expectation from the anchor of the truth, and the model from which its watchers extrapolate.
        self._expected: Expectation | None = None
        self._held_model: Progress | None = None

    async def open(self) -> None:
        """As in `Feed`."""
        await super().open()
        if self._truth is not None:
            self._expected = self._forecaster.expectation(self._truth)

    def expect(self, subscriber: ISubscriber) -> None:
        """Records that a subscriber extrapolates by the expectation; called just before it subscribes."""
        self._expecting += (subscriber,)

    def unsubscribe(self, subscriber: ISubscriber) -> None:
        """As in `Feed`."""
        if subscriber in self._expecting:
            self._expecting = tuple(each for each in self._expecting if each != subscriber)
        super().unsubscribe(subscriber)

    def end(self, code: CloseCode) -> None:
        """As in `Feed`."""
        self._expecting = ()
        super().end(code)

    def newest(self, subscriber: ISubscriber) -> Iterator[Update]:
        """As in `Feed`: the copy that watchers like this one hold."""
        truth = self._truth
        if truth is None:
            return
        now = self._context.clock.seconds()
        if subscriber not in self._expecting:
            self._held = self._held or truth
            yield self._plain(self._held, now, None)
            return
        self._held_model = self._held_model or expected_model(truth.progress, self._expected)
        yield self._by_model(truth, self._held_model, now, None)

    def refresh(self, sent_before: float = inf) -> None:
        """As in `SessionFeed`."""
        truth = self._truth
        if truth is None or not self.subscribed or not truth.progress.moving:
            return
        now = self._context.clock.seconds()
        others, expecting = self._groups()
        if others and (self._held is None or self._held.progress.anchor < sent_before):
            self._send_plain(truth, now, None, others)
        if expecting and (self._held_model is None or self._held_model.anchor < sent_before):
            self._send_by_model(truth, now, None, expecting)

    def session_changed(self, state: SessionState | None) -> None:
        """As in `ISessionListener`."""
        if state is None:
            self.end(CloseCode.NORMAL)
            return
        self._truth, now = state, self._context.clock.seconds()
        self._expected = self._forecaster.expectation(state)
        others, expecting = self._groups()
        if not others:
            self._held = None
        elif self._held is None or self._misleads(self._held.progress, state.progress, now):
            self._send_plain(state, now, state.accepted, others)
        if not expecting:
            self._held_model = None
        elif self._held_model is None or self._misleads(
            self._held_model, expected_model(state.progress, self._expected), now
        ):
            self._send_by_model(state, now, state.accepted, expecting)

    def _groups(self) -> tuple[tuple[ISubscriber, ...], tuple[ISubscriber, ...]]:
        """The watchers that extrapolate by the authority's time, and those that extrapolate by the expectation."""
        if not self._expecting:
            return self._greeted, ()
        others = tuple(each for each in self._greeted if each not in self._expecting)
        return others, tuple(each for each in self._greeted if each in self._expecting)

    def _misleads(self, held: Progress, truth: Progress, now: float) -> bool:
        """Whether a watcher with this model needs a correction, which is then counted."""
        off = misled_by(held, truth, now, now + self._context.horizon, self._context.tolerance)
        if off is None:
            return False
        corrections = self._context.corrections
        corrections.total += off
        corrections.counts[bisect_left(corrections.bounds, off)] += 1
        return True

    def _send_plain(
        self, state: SessionState, now: float, accepted: float | None, recipients: tuple[ISubscriber, ...]
    ) -> None:
        self._held = _rebased(state, now)
        self.broadcast_to(self._plain(self._held, now, accepted), recipients)

    def _send_by_model(
        self, state: SessionState, now: float, accepted: float | None, recipients: tuple[ISubscriber, ...]
    ) -> None:
        self._held_model = rebase(expected_model(state.progress, self._expected), now)
        self.broadcast_to(self._by_model(state, self._held_model, now, accepted), recipients)

    def _plain(self, held: SessionState, now: float, accepted: float | None) -> Update:
        """An update as `SessionFeed` sends it, with the expectation beside."""
        at = Moment(now, self._context.clock.wall())
        return progress_update(held, at, accepted, self.position, self._expectation(held.progress.anchor))

    def _by_model(self, state: SessionState, model: Progress, now: float, accepted: float | None) -> Update:
        """An update whose message states the percentage and the time of the model, and the authority's remaining time.
        Its record, which has one time only, states the model.
        """
        held, expected = _rebased(state, now), None
        if self._expected is not None and model.remaining is not None and model.moving:
            p50 = max(0.0, model.remaining - (now - model.anchor))
            expected = Expectation(p50, max(p50, self._expected.p90 - (now - state.progress.anchor)))
        at = Moment(now, self._context.clock.wall())
        return progress_update(held, at, accepted, self.position, expected, model)

    def _expectation(self, anchor: float) -> Expectation | None:
        """The expectation from another anchor."""
        truth, expected = self._truth, self._expected
        if truth is None or expected is None:
            return None
        elapsed = anchor - truth.progress.anchor
        return Expectation(max(0.0, expected.p50 - elapsed), max(0.0, expected.p90 - elapsed))


def _rebased(state: SessionState, now: float) -> SessionState:
    return replace(state, progress=rebase(state.progress, now))
