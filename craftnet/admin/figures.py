"""Computes a node's figures from its metrics: now, over a window, and in the last 15 minutes. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil

from msgspec import Struct

from craftnet.contract.admin.overview import Figures, Latency, LimitUse, OverviewSeries, Windows
from craftnet.contract.messages import rfc3339
from craftnet.observe.metrics.snapshot import Buckets, Snapshot

STEP_SECONDS = 5
"""Seconds between two points of a series."""

KEPT_SECONDS = 900
"""Seconds that a series covers."""

LATENCY_SECONDS = 60

WINDOWS = Windows(rates_seconds=STEP_SECONDS, latencies_seconds=LATENCY_SECONDS, counts_seconds=KEPT_SECONDS)
"""The windows over which figures are computed, in seconds."""

_SUMS = (
    *("connections", "sessions", "events_per_second", "deliveries_per_second", "bytes_per_second"),
    *("refusals_per_second", "memory_bytes"),
)
_WORST = (
    *("websocket_p50_ms", "websocket_p99_ms", "udp_p50_ms", "udp_p99_ms"),
    *("round_trip_p50_ms", "round_trip_p99_ms", "loop_delay_p99_ms"),
)
SERIES = (*_SUMS, *_WORST)
"""The names of all series."""

Point = Mapping[str, float | None]
"""The value of each series at one moment."""


class Sample(Struct, frozen=True):
    """All figures at one moment; counters count from the start of the process.

    Attributes:
        at: the time on the steady clock, seconds.
        memory: resident bytes.
        octets: bytes delivered to transports; None if they are not counted.
    """

    at: float
    connections: dict[str, int]
    watchers: dict[str, int]
    sessions: int
    events: float
    deliveries: float
    octets: float | None
    delivery: dict[str, Buckets]
    round_trip: Buckets
    loop_delay: Buckets
    returns: float
    recovered: float
    refusals: dict[str, int]
    memory: int
    limits: dict[str, LimitUse] = {}

    @classmethod
    def of(cls, metrics: Snapshot, at: float, events: float, memory: int) -> Sample:
        """The sample of a process's metrics."""
        delivered = metrics.by("craftnet_deliveries_total", "transport")
        latencies = "craftnet_event_to_delivery_seconds"
        octets = metrics.by("craftnet_sent_bytes_total", "transport")
        return cls(
            at=at,
            connections=_whole(metrics.by("craftnet_connections", "transport")),
            watchers=_whole(metrics.by("craftnet_watchers", "feed")),
            sessions=int(metrics.total("craftnet_sessions")),
            events=events,
            deliveries=sum(delivered.values()),
            octets=sum(octets.values()) if octets else None,
            delivery={transport: metrics.buckets(latencies, transport=transport) for transport in delivered},
            round_trip=metrics.buckets("craftnet_udp_round_trip_seconds"),
            loop_delay=metrics.buckets("craftnet_event_loop_delay_seconds"),
            returns=metrics.total("craftnet_returns_total"),
            recovered=metrics.total("craftnet_returns_total", recovered="true"),
            refusals=_whole(metrics.by("craftnet_refusals_total", "reason")),
            memory=memory,
            limits={
                name: LimitUse(used=int(metrics.total("craftnet_limit_used", limit=name)), limit=int(limit))
                for name, limit in metrics.by("craftnet_limit", "limit").items()
            },
        )


class NodeFigures(Struct, frozen=True):
    """The figures that a node reports to other nodes; figures of several nodes can be merged.

    Attributes:
        empty_memory: resident bytes at the start of the process.
    """

    connections: dict[str, int]
    watchers: dict[str, int]
    sessions: int
    events_per_second: float
    deliveries_per_second: float
    bytes_per_second: float | None
    delivery: dict[str, Buckets]
    round_trip: Buckets
    loop_delay: Buckets
    returns: int
    recovered: int
    refusals: dict[str, int]
    memory: int
    empty_memory: int


class FigureHistory:
    """The samples of one node.

    Arguments:
        first: taken when the node starts.
    """

    def __init__(self, first: Sample) -> None:
        steps = KEPT_SECONDS // STEP_SECONDS
        self._first = first
        self._samples: deque[Sample] = deque([first], maxlen=steps + 1)
        self._points: deque[Point] = deque(maxlen=steps)

    def add(self, sample: Sample) -> None:
        """Adds a sample; called every `STEP_SECONDS`."""
        self._points.append(_point(self._samples[-1], sample))
        self._samples.append(sample)

    def point(self, now: Sample) -> Point:
        """The values of the current, incomplete step."""
        return _point(self._before(now, STEP_SECONDS - 0.5), now)

    def points(self) -> Sequence[Point]:
        """The complete steps, oldest first."""
        return tuple(self._points)

    def figures(self, now: Sample) -> NodeFigures:
        """The figures over their windows until `now`."""
        rates = self._before(now, STEP_SECONDS - 0.5)
        latencies = self._before(now, LATENCY_SECONDS)
        counts = self._before(now, KEPT_SECONDS)
        events, deliveries, octets = _rates(rates, now)
        return NodeFigures(
            connections=now.connections,
            watchers=now.watchers,
            sessions=now.sessions,
            events_per_second=events,
            deliveries_per_second=deliveries,
            bytes_per_second=octets,
            delivery=_since(now.delivery, latencies.delivery),
            round_trip=now.round_trip.since(latencies.round_trip),
            loop_delay=now.loop_delay.since(latencies.loop_delay),
            returns=int(now.returns - counts.returns),
            recovered=int(now.recovered - counts.recovered),
            refusals={
                reason: number - counts.refusals.get(reason, 0)
                for reason, number in now.refusals.items()
                if number > counts.refusals.get(reason, 0)
            },
            memory=now.memory,
            empty_memory=self._first.memory,
        )

    def _before(self, now: Sample, seconds: float) -> Sample:
        """The newest sample that is at least `seconds` old, or the oldest one."""
        for sample in reversed(self._samples):
            if now.at - sample.at >= seconds:
                return sample
        return self._samples[0]


def shown(figures: NodeFigures) -> Figures:
    """The figures in the form of the admin API."""
    grown = max(0, figures.memory - figures.empty_memory)
    return Figures(
        connections=figures.connections,
        watchers=figures.watchers,
        sessions=figures.sessions,
        events_per_second=round(figures.events_per_second, 1),
        deliveries_per_second=round(figures.deliveries_per_second, 1),
        bytes_per_second=None if figures.bytes_per_second is None else round(figures.bytes_per_second),
        delivery={transport: latency(buckets) for transport, buckets in figures.delivery.items()},
        round_trip=latency(figures.round_trip),
        loop_delay=latency(figures.loop_delay),
        memory_bytes=figures.memory,
        session_memory_bytes=round(grown / figures.sessions) if figures.sessions else None,
        returns=figures.returns,
        recovered_ratio=round(figures.recovered / figures.returns, 4) if figures.returns else None,
        refusals=figures.refusals,
    )


def merged(several: Sequence[NodeFigures], *, shared_sessions: bool) -> NodeFigures:
    """Merges the figures of all nodes.

    Arguments:
        shared_sessions: whether all nodes keep the same sessions.
    """
    sessions = [each.sessions for each in several]
    known = [each.bytes_per_second for each in several if each.bytes_per_second is not None]
    return NodeFigures(
        connections=_summed(each.connections for each in several),
        watchers=_summed(each.watchers for each in several),
        sessions=max(sessions, default=0) if shared_sessions else sum(sessions),
        events_per_second=sum(each.events_per_second for each in several),
        deliveries_per_second=sum(each.deliveries_per_second for each in several),
        bytes_per_second=sum(known) if known else None,
        delivery={
            transport: _together([each.delivery[transport] for each in several if transport in each.delivery])
            for transport in dict.fromkeys(transport for each in several for transport in each.delivery)
        },
        round_trip=_together([each.round_trip for each in several]),
        loop_delay=_together([each.loop_delay for each in several]),
        returns=sum(each.returns for each in several),
        recovered=sum(each.recovered for each in several),
        refusals=_summed(each.refusals for each in several),
        memory=sum(each.memory for each in several),
        empty_memory=sum(each.empty_memory for each in several),
    )


def merged_point(points: Sequence[Point], *, shared_sessions: bool) -> dict[str, float | None]:
    """Merges one point of all nodes: sums, and the worst value of figures that cannot be summed."""
    both: dict[str, float | None] = {}
    for name in SERIES:
        known = [value for point in points if (value := point.get(name)) is not None]
        combine: Callable[[Iterable[float]], float] = sum if name in _SUMS else max
        if name == "sessions" and shared_sessions:
            combine = max
        both[name] = combine(known) if known else None
    return both


def series(by_node: Sequence[Sequence[Point]], until: float, *, shared_sessions: bool) -> OverviewSeries:
    """Merges the series of all nodes, whose steps end at about the same time, `until`."""
    length = max(map(len, by_node), default=0)
    columns = [
        merged_point([points[-back] for points in by_node if len(points) >= back], shared_sessions=shared_sessions)
        for back in range(length, 0, -1)
    ]
    values = {name: [column[name] for column in columns] for name in SERIES}
    return OverviewSeries(until=rfc3339(until), step_seconds=STEP_SECONDS, values=values)


def latency(buckets: Buckets) -> Latency:
    """The distribution in milliseconds."""
    return Latency(count=int(buckets.count), p50_ms=_ms(buckets.quantile(0.5)), p99_ms=_ms(buckets.quantile(0.99)))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else ceil(seconds * 1e6) / 1000


def _point(before: Sample, now: Sample) -> Point:
    events, deliveries, octets = _rates(before, now)
    delivery = _since(now.delivery, before.delivery)
    refused = sum(now.refusals.values()) - sum(before.refusals.values())
    return {
        "connections": float(sum(now.connections.values())),
        "sessions": float(now.sessions),
        "events_per_second": round(events, 1),
        "deliveries_per_second": round(deliveries, 1),
        "bytes_per_second": None if octets is None else round(octets),
        "refusals_per_second": round(refused / _seconds(before, now), 2),
        "memory_bytes": float(now.memory),
        **_quantiles("websocket", delivery.get("websocket", Buckets())),
        **_quantiles("udp", delivery.get("udp", Buckets())),
        **_quantiles("round_trip", now.round_trip.since(before.round_trip)),
        "loop_delay_p99_ms": _ms(now.loop_delay.since(before.loop_delay).quantile(0.99)),
    }


def _seconds(before: Sample, now: Sample) -> float:
    return max(now.at - before.at, 0.001)


def _rates(before: Sample, now: Sample) -> tuple[float, float, float | None]:
    """Events, deliveries and bytes per second; None for bytes if they are not counted."""
    seconds = _seconds(before, now)
    octets = None if now.octets is None else (now.octets - (before.octets or 0.0)) / seconds
    return (now.events - before.events) / seconds, (now.deliveries - before.deliveries) / seconds, octets


def _quantiles(name: str, buckets: Buckets) -> Point:
    """The points of a series of latencies."""
    return {f"{name}_p50_ms": _ms(buckets.quantile(0.5)), f"{name}_p99_ms": _ms(buckets.quantile(0.99))}


def _since(now: Mapping[str, Buckets], before: Mapping[str, Buckets]) -> dict[str, Buckets]:
    return {name: buckets.since(before.get(name, Buckets())) for name, buckets in now.items()}


def _together(several: Sequence[Buckets]) -> Buckets:
    bounds = max((each.bounds for each in several), key=len, default=())
    alike = [each for each in several if each.bounds == bounds]
    counts = tuple(map(sum, zip(*(each.counts for each in alike), strict=True))) or (0.0,)
    return Buckets(bounds, counts, sum(each.total for each in alike))


def _summed(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in several:
        total.update(each)
    return dict(total)


def _whole(numbers: Mapping[str, float]) -> dict[str, int]:
    return {name: int(number) for name, number in numbers.items()}
