"""The learning of one node: collects samples from crafts that end, and forecasts crafts that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.contract.events import ACCEPTED, Event, EventOutcome, SessionComplete, SessionProgress
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Expectation
from craftnet.crafting.state import SessionState
from craftnet.errors import Unavailable
from craftnet.forecast.model import CraftSample, ForecastModel, Phase
from craftnet.forecast.samples import expectation_of, samples_of
from craftnet.interfaces import ISessionSource
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore

_log = Logger()


class SampleTaker(Protocol):
    """Receives the samples of this node's completed crafts."""

    def __call__(self, samples: Sequence[CraftSample]) -> None:
        """Adds samples; returns before they are stored."""


class Learner:
    """The model of a node, its source of samples, and its forecasts.

    It learns from the samples of its own crafts, unless `take` is replaced by a function that shares them first.

    Arguments:
        sessions: the source that has the states of crafts, completed ones included.

    Attributes:
        take: called with the samples of the crafts that complete on this node.
    """

    def __init__(self, sessions: ISessionSource, store: MetricStore, model: ForecastModel | None = None) -> None:
        self.model = model or ForecastModel()
        self.take: SampleTaker = self.learn
        self._sessions = sessions
        self._taken = store.numbers(families.LEARNED_SAMPLES)
        self._keys = store.numbers(families.LEARNED_KEYS)[()]
        self._errors = store.numbers(families.LEARNED_ERROR)
        self._recipes = store.numbers(families.LEARNED_RECIPES)
        store.before_reading.append(self._measure)

    def expectation(self, state: SessionState) -> Expectation | None:
        """As in `craftnet.feeds.forecast_feed.Forecaster`."""
        return expectation_of(self.model, state)

    def learn(self, samples: Sequence[CraftSample]) -> None:
        """Learns from samples."""
        for sample in samples:
            self._taken["learned" if self.model.learn(sample) else "refused",].value += 1

    def applied(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        """Takes the samples of the crafts that these events complete; a `craftnet.providers.inspection.Tap`."""
        for event, outcome in zip(events, outcomes, strict=True):
            data = event.data
            if outcome != ACCEPTED or not isinstance(data, SessionComplete | SessionProgress):
                continue
            if isinstance(data, SessionComplete) or data.status is Status.COMPLETED:
                Deferred.fromCoroutine(self._take_samples(data.session_id)).addErrback(_lost)

    async def _take_samples(self, session_id: UUID) -> None:
        state = await self._sessions.get(session_id)
        if state is not None and (samples := list(samples_of(state))):
            self.take(samples)

    def _measure(self) -> None:
        self._keys.value = len(self.model)
        self._recipes["learned",].value, self._recipes["stated",].value = self.model.wins()
        for phase in Phase:
            learned, stated = self.model.errors(phase)
            self._errors["learned", phase.name.lower()].value = learned
            self._errors["stated", phase.name.lower()].value = stated


def _lost(failure: Failure) -> None:
    """A sample is lost while the back end is unreachable, which health checks report."""
    if not failure.check(Unavailable):
        _log.failure("a completed craft could not be learned from", failure)
