"""The metrics of the service: what the code calls to count, and what `/metrics` answers."""

from __future__ import annotations

import os

from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.interfaces import ISessionSource
from craftnet.observe.metrics import families
from craftnet.observe.metrics.hot_counters import DeliveryCounts
from craftnet.observe.metrics.process_files import FOLDER_VARIABLE, join_folder, own_file
from craftnet.observe.metrics.snapshot import Snapshot
from craftnet.observe.metrics.store import MetricStore


class PathMetrics:
    """Histograms over all paths."""

    def __init__(self, store: MetricStore) -> None:
        self._round_trip = store.distributions(families.ROUND_TRIP)[()]
        self._variation = store.distributions(families.VARIATION)[()]
        self._jitter = store.distributions(families.JITTER)[()]
        self._offset = store.distributions(families.CLOCK_OFFSET)[()]
        self._loss_out = store.distributions(families.LOSS_OUT)[()]
        self._loss_in = store.distributions(families.LOSS_IN)[()]
        self._reordered = store.distributions(families.REORDERED)[()]
        self._rate = store.distributions(families.SEND_RATE)[()]

    def measured(
        self,
        *,
        round_trip: float | None,
        variation: float,
        jitter: float,
        offset: float | None,
        loss_out: float,
        loss_in: float,
        reordered: float,
        rate: float,
    ) -> None:
        """Records a client's path: seconds, shares of 1, and bytes per second; None for what is not known yet."""
        if round_trip is not None:
            self._round_trip.observe(round_trip)
            self._variation.observe(variation)
        if offset is not None:
            self._offset.observe(abs(offset))
        self._jitter.observe(jitter)
        self._loss_out.observe(loss_out)
        self._loss_in.observe(loss_in)
        self._reordered.observe(reordered)
        self._rate.observe(rate)


class Metrics:
    """All metrics of one running service. Shells and the hub call it; only `/metrics` and `snapshot` read it.

    Arguments:
        divided: whether each process keeps sessions of its own; otherwise all of them count the same ones.

    Attributes:
        registry: the figures of this process.
        store: creates further figures.
        paths: the metrics of the paths to UDP clients.
    """

    def __init__(self, *, divided: bool = False) -> None:
        self.store = store = MetricStore(own_file if join_folder() else None)
        self.registry = CollectorRegistry()
        self.registry.register(store)
        sessions = replace(families.SESSIONS, combine="livesum" if divided else "livemax")
        self._connections = store.numbers(families.CONNECTIONS)
        self._sessions = store.numbers(sessions)[()]
        self._watchers = store.numbers(families.WATCHERS)
        self._returns = store.numbers(families.RETURNS)
        self._complete = store.numbers(families.COMPLETE)
        self._refusals = store.numbers(families.REFUSALS)
        self._events = store.numbers(families.EVENTS)
        self._player_reports = store.numbers(families.PLAYER_REPORTS)
        self._datagrams = store.numbers(families.DATAGRAMS)
        self._messages = store.numbers(families.DELIVERIES)
        self._latencies = store.distributions(families.LATENCIES)
        self._deliveries: dict[str, DeliveryCounts] = {}
        self.paths = PathMetrics(store)

    def connection_opened(self, transport: str) -> None:
        """Counts an established connection (or UDP client)."""
        self._connections[transport,].value += 1

    def connection_closed(self, transport: str) -> None:
        """Counts a closed connection."""
        self._connections[transport,].value -= 1

    def sessions(self, number: int) -> None:
        """Sets the number of sessions that are kept now."""
        self._sessions.value = number

    def complete(self, what: str, complete: bool) -> None:
        """Sets whether all nodes know of `what`: revocations or places."""
        self._complete[what,].value = int(complete)

    def came_back(self, feed: str, recovered: bool) -> None:
        """Counts a watcher that returned with a position."""
        self._returns[feed, str(recovered).lower()].value += 1

    def watching(self, feed: str, change: int) -> None:
        """Adds `change` watchers (or removes them) of a feed: crafting, queue or health."""
        self._watchers[feed,].value += change

    def datagram(self, outcome: str) -> None:
        """Counts a datagram by what became of it, in one word."""
        self._datagrams[outcome,].value += 1

    def delivered(self, transport: str, messages: int, latency: float | None) -> None:
        """Counts messages handed to a transport; `latency` in seconds, None when no event caused them."""
        self.delivery_counts(transport).count(messages, latency)

    def delivery_counts(self, transport: str) -> DeliveryCounts:
        """The counts of a transport's deliveries, for callers that count many."""
        if transport not in self._deliveries:
            counts = DeliveryCounts(self._messages[transport,], self._latencies[transport,])
            self._deliveries[transport] = counts
        return self._deliveries[transport]

    def refused(self, reason: str) -> None:
        """Counts a refused request or connection; `reason` is the label of a `craftnet.errors.Refusal`."""
        self._refusals[reason,].value += 1

    def event(self, verdict: str, number: int = 1) -> None:
        """Counts received authority events."""
        self._events[verdict,].value += number

    def player_report(self, verdict: str) -> None:
        """Counts a player's report by its comparison with the authority."""
        self._player_reports[verdict,].value += 1

    def write(self) -> None:
        """Writes the figures to where other processes read them; called every second."""
        self.store.write()

    def render(self) -> bytes:
        """All metrics in the Prometheus text format, version 0.0.4; of all processes that share a folder."""
        return generate_latest(self._everything())

    def snapshot(self) -> Snapshot:
        """All metrics as plain numbers; of all processes that share a folder."""
        return Snapshot(self._everything().collect())

    def _everything(self) -> CollectorRegistry:
        directory = os.environ.get(FOLDER_VARIABLE)
        if directory is None:
            return self.registry
        self.write()
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, directory)
        return everybody


SESSION_COUNT_INTERVAL = 5.0
"""Seconds."""


class SessionCounter(TimerService):
    """Counts the sessions."""

    def __init__(self, sessions: ISessionSource, metrics: Metrics, clock: IReactorTime) -> None:
        super().__init__(SESSION_COUNT_INTERVAL, self._count)
        self.clock = clock
        self._sessions = sessions
        self._metrics = metrics

    def _count(self) -> Deferred[None]:
        return self._sessions.count().addCallbacks(self._metrics.sessions, self._unknown)

    def _unknown(self, failure: Failure) -> None:
        """Keeps the last figure: an unreachable provider is reported by the health checks."""
        failure.trap(Unavailable)
