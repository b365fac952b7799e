"""The metrics of the service: the counting interface for the code, and the answer of `/metrics`."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Mapping

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
from craftnet.observe.metrics.hot_counters import DatagramCounts, DeliveryCounts
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
        self._queue = store.distributions(families.UDP_QUEUE)[()]

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
        queued: int,
    ) -> None:
        """Records a client's path: seconds, shares of 1, bytes per second, records; None for unknown values."""
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
        self._queue.observe(queued)


class HttpMetrics:
    """Requests and their answers.

    Attributes:
        received: bytes of requests.
        sent: bytes of answers, under "http" and the content coding.
    """

    def __init__(self, store: MetricStore) -> None:
        self._requests = store.numbers(families.HTTP_REQUESTS)
        self._seconds = store.distributions(families.HTTP_SECONDS)
        self.sent = store.numbers(families.SENT_BYTES)
        self.received = store.numbers(families.RECEIVED_BYTES)["http", "plain"]

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts an answered request.

        Arguments:
            route: the path of its route, with variable segments in braces; `NO_ROUTE` where there is none.
            seconds: from the complete request to its answer.
        """
        self._requests[route, method, str(status)].value += 1
        taken = self._seconds[route,]
        taken.total += seconds
        taken.counts[bisect_left(taken.bounds, seconds)] += 1


class RedisMetrics:
    """Measurements of Redis by a back end; a `craftnet.providers.registry.StoreMetrics`."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._round_trip = store.distributions(families.REDIS_ROUND_TRIP)[()]
        self._reconnects = store.numbers(families.REDIS_RECONNECTS)[()]

    def answered(self, seconds: float) -> None:
        """As in `StoreMetrics`."""
        self._round_trip.observe(seconds)

    def reconnected(self) -> None:
        """As in `StoreMetrics`."""
        self._reconnects.value += 1

    def lags(self, seconds: Callable[[], float]) -> None:
        """As in `StoreMetrics`."""
        lag = self._store.numbers(families.REDIS_LAG)["changes",]

        def read() -> None:
            lag.value = seconds()

        self._store.before_reading.append(read)


class UpstreamFigures:
    """What an edge measures of the connection to its core; a `craftnet.providers.registry.UpstreamMetrics`."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._round_trip = store.distributions(families.UPSTREAM_ROUND_TRIP)[()]
        self._reconnects = store.numbers(families.UPSTREAM_RECONNECTS)[()]
        self._octets = store.numbers(families.UPSTREAM_BYTES)
        self._feeds = store.numbers(families.UPSTREAM_FEEDS)

    def answered(self, seconds: float) -> None:
        """As in `UpstreamMetrics`."""
        self._round_trip.observe(seconds)

    def reconnected(self) -> None:
        """As in `UpstreamMetrics`."""
        self._reconnects.value += 1

    def received(self, octets: int) -> None:
        """As in `UpstreamMetrics`."""
        self._octets["received",].value += octets

    def sent(self, octets: int) -> None:
        """As in `UpstreamMetrics`."""
        self._octets["sent",].value += octets

    def following(self, connected: bool, feeds: Mapping[str, int]) -> None:
        """As in `UpstreamMetrics`."""
        self._store.numbers(families.UPSTREAM_CONNECTED)[()].value = int(connected)
        for subject in families.UPSTREAM_SUBJECTS:
            self._feeds[subject,].value = feeds.get(subject, 0)

    def lags(self, seconds: Callable[[], float]) -> None:
        """As in `UpstreamMetrics`."""
        lag = self._store.numbers(families.UPSTREAM_LAG)[()]

        def read() -> None:
            lag.value = seconds()

        self._store.before_reading.append(read)


NO_ROUTE = "none"
"""The route of requests for a path that there is not, or that could not be read."""


class Metrics:
    """All metrics of one running service. Shells and the hub call it; only `/metrics` and `snapshot` read it.

    Arguments:
        divided: whether each process keeps sessions of its own; otherwise all of them count the same ones.
        keeps_sessions: whether the sessions that are counted are in the memory of this process.

    Attributes:
        registry: the figures of this process.
        store: creates further figures.
        paths: the metrics of the paths to UDP clients.
        http: the metrics of HTTP.
        redis: measurements of Redis by a back end.
        upstream: measurements of an edge's link to its core.
        datagrams: counts on UDP connections.
        websocket_received: bytes of frames from WebSocket clients.
        corrections: points of progress by which clients' models were off.
        applying: events that are being applied.
        loop_delays: how late calls of the event loop are, in seconds.
    """

    def __init__(self, *, divided: bool = False, keeps_sessions: bool = True) -> None:
        self.store = store = MetricStore(own_file if join_folder() else None)
        self.registry = CollectorRegistry()
        self.registry.register(store)
        sessions = replace(families.SESSIONS, combine="livesum" if divided else "livemax")
        self._keeps_sessions = keeps_sessions
        self.loop_delays = store.distributions(families.LOOP_DELAY)[()]
        self._pauses = store.distributions(families.GC_PAUSE)
        self._connections = store.numbers(families.CONNECTIONS)
        self._sessions = store.numbers(sessions)[()]
        self._watchers = store.numbers(families.WATCHERS)
        self._returns = store.numbers(families.RETURNS)
        self._complete = store.numbers(families.COMPLETE)
        self._refusals = store.numbers(families.REFUSALS)
        self._tls_handshakes = store.numbers(families.TLS_HANDSHAKES)
        self._events = store.numbers(families.EVENTS)
        self._player_reports = store.numbers(families.PLAYER_REPORTS)
        self._region_requests = store.numbers(families.REGION_REQUESTS)
        self._devices = store.numbers(families.DEVICES)
        self._device_reports = store.numbers(families.DEVICE_REPORTS)
        self._datagrams = store.numbers(families.DATAGRAMS)
        self._closed = store.numbers(families.CLOSED)
        self._deliveries: dict[str, DeliveryCounts] = {}
        self.paths = PathMetrics(store)
        self.http = HttpMetrics(store)
        self.redis = RedisMetrics(store)
        self.upstream = UpstreamFigures(store)
        self.datagrams = DatagramCounts(store)
        self.websocket_received = store.numbers(families.RECEIVED_BYTES)["websocket", "frames"]
        self.corrections = store.distributions(families.CORRECTIONS)[()]
        self.applying = store.numbers(families.QUEUE_DEPTH)["events",]

    def connection_opened(self, transport: str) -> None:
        """Counts an established connection (or UDP client)."""
        self._connections[transport,].value += 1

    def connection_closed(self, transport: str, code: str) -> None:
        """Counts a closed connection by its close code, or reason."""
        self._connections[transport,].value -= 1
        self._closed[transport, code].value += 1

    def sessions(self, number: int) -> None:
        """Sets the number of sessions that are kept now."""
        self._sessions.value = number

    def complete(self, what: str, complete: bool) -> None:
        """Sets whether this node has all shared data of the kind `what`: revocations or places."""
        self._complete[what,].value = int(complete)

    def keys_current(self, current: bool) -> None:
        """Sets whether the keys that verify tokens can be read."""
        self.store.numbers(families.KEYS_CURRENT)["auth",].value = int(current)

    def came_back(self, feed: str, recovered: bool) -> None:
        """Counts a watcher that returned with a position."""
        self._returns[feed, str(recovered).lower()].value += 1

    def watching(self, feed: str, change: int) -> None:
        """Adds `change` watchers (or removes them) of a feed: crafting, queue or health."""
        self._watchers[feed,].value += change

    def datagram(self, outcome: str) -> None:
        """Counts a datagram by its one-word outcome."""
        self._datagrams[outcome,].value += 1

    def delivered(self, transport: str, messages: int, latency: float | None) -> None:
        """Counts messages delivered to a transport; `latency` in seconds, None if no event caused them."""
        self.delivery_counts(transport).count(messages, latency)

    def delivery_counts(self, transport: str) -> DeliveryCounts:
        """The counts of a transport's deliveries, for callers that count many."""
        if transport not in self._deliveries:
            self._deliveries[transport] = DeliveryCounts(self.store, transport)
        return self._deliveries[transport]

    def refused(self, reason: str) -> None:
        """Counts a refused request or connection; `reason` is the label of a `craftnet.errors.Refusal`."""
        self._refusals[reason,].value += 1

    def tls_handshake(self, version: str, group: str) -> None:
        """Counts a TLS handshake that was completed, by OpenSSL's names of the version and of the key exchange."""
        self._tls_handshakes[version, group].value += 1

    def event(self, verdict: str, number: int = 1) -> None:
        """Counts received authority events."""
        self._events[verdict,].value += number

    def player_report(self, verdict: str) -> None:
        """Counts a player's report by its comparison with the authority."""
        self._player_reports[verdict,].value += 1

    def region_request(self, outcome: str) -> None:
        """Counts a request for a UDP connection in a region."""
        self._region_requests[outcome,].value += 1

    def devices(self, change: int) -> None:
        """Adds `change` devices of players that are connected (or removes them)."""
        self._devices[()].value += change

    def device_report(self, verdict: str) -> None:
        """Counts a report of a device of what was seen or dismissed."""
        self._device_reports[verdict,].value += 1

    def gc_paused(self, generation: int, seconds: float) -> None:
        """Counts a pause of the collector of reference cycles."""
        self._pauses[str(generation),].observe(seconds)

    @property
    def sessions_here(self) -> float:
        """The number of sessions that this process keeps or has watchers of, whichever is more."""
        watched = self._watchers["crafting",].value
        return max(watched, self._sessions.value) if self._keeps_sessions else watched

    def write(self) -> None:
        """Writes the figures to the folder from which other processes read them; called every second."""
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
        combined = CollectorRegistry()
        MultiProcessCollector(combined, directory)
        return combined


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
