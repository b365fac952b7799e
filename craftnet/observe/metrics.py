"""The service's metrics, in a registry of their own."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from craftnet.observe.deliveries import OwnDeliveries, SharedDeliveries, Tally
from craftnet.observe.figures import DIRECTORY, join, own_file
from craftnet.observe.lines import Lines
from craftnet.observe.outcomes import OwnOutcomes, SharedOutcomes


class Metrics:
    """All metrics of one running service. Shells and the hub call it; only `/metrics` reads it.

    Arguments:
        divided: whether each process keeps sessions of its own; otherwise all of them count the same ones.

    Attributes:
        lines: the metrics of the paths to UDP clients.
    """

    def __init__(self, *, divided: bool = False) -> None:
        shared = join()
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
        self._claims = Counter(
            "craftnet_claims",
            "Players' reports, by whether they agreed with the authority.",
            ["verdict"],
            registry=self.registry,
        )
        self._deliveries = SharedDeliveries(own_file) if shared else OwnDeliveries(self.registry)
        self._datagrams = (SharedOutcomes if shared else OwnOutcomes)(self.registry)
        self.lines = Lines(self.registry)

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

    def tally(self, transport: str) -> Tally:
        """The tally of a transport's deliveries, for callers that count many."""
        return self._deliveries[transport]

    def refused(self, reason: str) -> None:
        """Counts a refused request or connection; `reason` is the label of a `craftnet.errors.Refusal`."""
        self._refusals.labels(reason).inc()

    def datagram(self, outcome: str) -> None:
        """Counts a received datagram by its outcome."""
        self._datagrams.count(outcome)

    def event(self, verdict: str, number: int = 1) -> None:
        """Counts received authority events."""
        self._events.labels(verdict).inc(number)

    def claim(self, verdict: str) -> None:
        """Counts a player's report by its comparison with the authority."""
        self._claims.labels(verdict).inc()

    def write(self) -> None:
        """Writes the tallies to where other processes read them; called every second."""
        if isinstance(self._deliveries, SharedDeliveries):
            self._deliveries.write()

    def render(self) -> bytes:
        """All metrics in the Prometheus text format, version 0.0.4; of all processes that share a folder."""
        directory = os.environ.get(DIRECTORY)
        if directory is None:
            return generate_latest(self.registry)
        self.write()
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, directory)
        return generate_latest(everybody)
