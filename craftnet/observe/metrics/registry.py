"""The metrics of the service, in a registry of its own."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.interfaces import ISessionSource
from craftnet.observe.metrics.hot_counters import (
    DeliveryCounts,
    LocalDatagramOutcomes,
    LocalDeliveries,
    SharedDatagramOutcomes,
    SharedDeliveries,
)
from craftnet.observe.metrics.process_files import FOLDER_VARIABLE, join_folder, open_own_file

TIMES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5.0)
"""Seconds: from one machine room to a satellite."""

OFFSETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds: from a synchronised clock to one in another time zone."""

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Of datagrams."""

RATES = (4_000, 6_250, 12_500, 25_000, 37_500, 50_000)
"""Bytes per second: from the lowest, doubling, to the highest."""


class PathMetrics:
    """Histograms over all paths."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            described = f"{text} Observed at every heartbeat."
            return Histogram(f"craftnet_udp_{name}", described, buckets=buckets, registry=registry)

        self._round_trip = histogram("round_trip_seconds", "Smoothed round-trip time of UDP connections.", TIMES)
        self._variation = histogram("round_trip_variation_seconds", "Variation of that round-trip time.", TIMES)
        self._jitter = histogram("jitter_seconds", "Jitter of heartbeats on UDP connections.", TIMES)
        self._offset = histogram(
            "clock_offset_seconds", "Distance of UDP clients' clocks from the server's, fast or slow.", OFFSETS
        )
        self._loss_out = histogram("loss_ratio", "Share of the last datagrams to UDP clients that were lost.", SHARES)
        self._loss_in = histogram(
            "loss_in_ratio", "Share of the last datagrams from UDP clients that were lost.", SHARES
        )
        self._reordered = histogram(
            "reordering_ratio", "Share of the last datagrams from UDP clients that came late.", SHARES
        )
        self._rate = histogram("rate_bytes_per_second", "Rate at which the server may send to a UDP client.", RATES)

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
    """All metrics of one running service. Shells and the hub call it; only `/metrics` reads it.

    Arguments:
        divided: whether each process keeps sessions of its own; otherwise all of them count the same ones.

    Attributes:
        paths: the metrics of the paths to UDP clients.
    """

    def __init__(self, *, divided: bool = False) -> None:
        shared = join_folder()
        self.registry = CollectorRegistry()
        self._connections = Gauge(
            "craftnet_connections",
            "Open connections.",
            ["transport"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._sessions = Gauge(
            "craftnet_sessions",
            "Sessions that are kept, finished ones included.",
            registry=self.registry,
            multiprocess_mode="livesum" if divided else "livemax",
        )
        self._watchers = Gauge(
            "craftnet_watchers",
            "Open subscriptions, by feed.",
            ["feed"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._returns = Counter(
            "craftnet_returns",
            "Clients that resumed, by whether everything they had missed was known.",
            ["feed", "recovered"],
            registry=self.registry,
        )
        self._complete = Gauge(
            "craftnet_cluster_complete",
            "1 while all nodes know what they share, 0 while something may be missing; absent without other nodes.",
            ["what"],
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self._refusals = Counter(
            "craftnet_refusals",
            "Requests and connections that were refused or cut off.",
            ["reason"],
            registry=self.registry,
        )
        self._events = Counter("craftnet_events", "Authority events, by verdict.", ["verdict"], registry=self.registry)
        self._player_reports = Counter(
            "craftnet_claims",
            "Players' reports, by whether they agreed with the authority.",
            ["verdict"],
            registry=self.registry,
        )
        self._deliveries = SharedDeliveries(open_own_file) if shared else LocalDeliveries(self.registry)
        self.datagram = (SharedDatagramOutcomes if shared else LocalDatagramOutcomes)(self.registry).count
        self.paths = PathMetrics(self.registry)

    def connection_opened(self, transport: str) -> None:
        """Counts an established connection (or UDP client)."""
        self._connections.labels(transport).inc()

    def connection_closed(self, transport: str) -> None:
        """Counts a closed connection."""
        self._connections.labels(transport).dec()

    def sessions(self, number: int) -> None:
        """Sets the number of sessions that are kept now."""
        self._sessions.set(number)

    def complete(self, what: str, complete: bool) -> None:
        """Sets whether all nodes know of `what`: revocations or places."""
        self._complete.labels(what).set(complete)

    def came_back(self, feed: str, recovered: bool) -> None:
        """Counts a watcher that returned with a position."""
        self._returns.labels(feed, str(recovered).lower()).inc()

    def watching(self, feed: str, change: int) -> None:
        """Adds `change` watchers (or removes them) of a feed: crafting, queue or health."""
        self._watchers.labels(feed).inc(change)

    def delivered(self, transport: str, messages: int, latency: float | None) -> None:
        """Counts messages handed to a transport; `latency` in seconds, None when no event caused them."""
        self._deliveries[transport].count(messages, latency)

    def delivery_counts(self, transport: str) -> DeliveryCounts:
        """The tally of a transport's deliveries, for callers that count many."""
        return self._deliveries[transport]

    def refused(self, reason: str) -> None:
        """Counts a refused request or connection; `reason` is the label of a `craftnet.errors.Refusal`."""
        self._refusals.labels(reason).inc()

    def event(self, verdict: str, number: int = 1) -> None:
        """Counts received authority events."""
        self._events.labels(verdict).inc(number)

    def player_report(self, verdict: str) -> None:
        """Counts a player's report by its comparison with the authority."""
        self._player_reports.labels(verdict).inc()

    def write(self) -> None:
        """Writes the tallies to where other processes read them; called every second."""
        if isinstance(self._deliveries, SharedDeliveries):
            self._deliveries.write()

    def render(self) -> bytes:
        """All metrics in the Prometheus text format, version 0.0.4; of all processes that share a folder."""
        directory = os.environ.get(FOLDER_VARIABLE)
        if directory is None:
            return generate_latest(self.registry)
        self.write()
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, directory)
        return generate_latest(everybody)


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
