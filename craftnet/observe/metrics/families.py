"""Every metric of the service: its name, its meaning, its labels, and how the figures of several processes combine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

LabelValues = Mapping[str, tuple[str, ...]]
"""The possible values of each label; none where they are named by the code that counts."""

OTHER = "other"
"""The label value of everything that is not among the possible ones."""


class Family(Struct, frozen=True):
    """One metric.

    Attributes:
        name: as in the Prometheus text format; that of a counter ends in ``_total``.
        text: what it means, with its unit.
        kind: counter, gauge or histogram.
        labels: the labels, with their possible values.
        bounds: the upper bounds of a histogram's buckets, ascending; one more bucket has everything above.
        combine: what several processes of one server (`--workers`) show of a gauge: the sum, the maximum or the
            minimum of those that live. Counters and histograms are summed.
    """

    name: str
    text: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: LabelValues = {}
    bounds: tuple[float, ...] = ()
    combine: Literal["livesum", "livemax", "livemin"] = "livesum"

    @property
    def base(self) -> str:
        """The name without the suffix that marks a counter."""
        return self.name.removesuffix("_total")

    def bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values of the labels, with `OTHER` for each that is not possible."""
        return tuple(
            value if not possible or value in possible else OTHER
            for value, possible in zip(values, self.labels.values(), strict=True)
        )


def counter(name: str, text: str, labels: LabelValues | None = None) -> Family:
    """A number that only grows while the server runs."""
    return Family(name, text, "counter", labels or {})


def gauge(
    name: str,
    text: str,
    labels: LabelValues | None = None,
    combine: Literal["livesum", "livemax", "livemin"] = "livesum",
) -> Family:
    """A number that rises and falls."""
    return Family(name, text, "gauge", labels or {}, combine=combine)


def histogram(name: str, text: str, bounds: tuple[float, ...], labels: LabelValues | None = None) -> Family:
    """How often each size of something occurred."""
    return Family(name, text, "histogram", labels or {}, bounds)


TRANSPORT: LabelValues = {"transport": ("websocket", "sse", "udp")}
FEED: LabelValues = {"feed": ("crafting", "queue", "health")}

LATENCY_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds. They resolve the promises: 1 ms for UDP, 5 ms for WebSocket."""

TIMES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5.0)
"""Seconds: from one machine room to a satellite."""

OFFSETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds: from a synchronised clock to one in another time zone."""

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Of datagrams."""

RATES = (4_000.0, 6_250.0, 12_500.0, 25_000.0, 37_500.0, 50_000.0)
"""Bytes per second: from the lowest, doubling, to the highest."""

# Connections and subscriptions

CONNECTIONS = gauge("craftnet_connections", "Open connections.", TRANSPORT)
WATCHERS = gauge("craftnet_watchers", "Open subscriptions, by feed.", FEED)
RETURNS = counter(
    "craftnet_returns_total",
    "Clients that resumed, by whether everything they had missed was known.",
    {**FEED, "recovered": ("true", "false")},
)
REFUSALS = counter("craftnet_refusals_total", "Requests and connections that were refused or cut off.", {"reason": ()})

# Events and deliveries

SESSIONS = gauge("craftnet_sessions", "Sessions that are kept, finished ones included.")
EVENTS = counter(
    "craftnet_events_total", "Authority events, by verdict.", {"verdict": ("accepted", "duplicate", "rejected")}
)
PLAYER_REPORTS = counter(
    "craftnet_claims_total",
    "Players' reports, by whether they agreed with the authority.",
    {"verdict": ("agreed", "deviating")},
)
DELIVERIES = counter("craftnet_deliveries_total", "Messages handed to a transport.", TRANSPORT)
LATENCIES = histogram(
    "craftnet_event_to_delivery_seconds",
    "Seconds from an event's acceptance to its hand-over to the transport.",
    LATENCY_BUCKETS,
    TRANSPORT,
)

# UDP

DATAGRAMS = counter("craftnet_datagrams_total", "Received datagrams, by outcome.", {"outcome": ()})


def _path(name: str, text: str, bounds: tuple[float, ...]) -> Family:
    return histogram(f"craftnet_udp_{name}", f"{text} Observed at every heartbeat.", bounds)


ROUND_TRIP = _path("round_trip_seconds", "Smoothed round-trip time of UDP connections.", TIMES)
VARIATION = _path("round_trip_variation_seconds", "Variation of that round-trip time.", TIMES)
JITTER = _path("jitter_seconds", "Jitter of heartbeats on UDP connections.", TIMES)
CLOCK_OFFSET = _path(
    "clock_offset_seconds", "Distance of UDP clients' clocks from the server's, fast or slow.", OFFSETS
)
LOSS_OUT = _path("loss_ratio", "Share of the last datagrams to UDP clients that were lost.", SHARES)
LOSS_IN = _path("loss_in_ratio", "Share of the last datagrams from UDP clients that were lost.", SHARES)
REORDERED = _path("reordering_ratio", "Share of the last datagrams from UDP clients that came late.", SHARES)
SEND_RATE = _path("rate_bytes_per_second", "Rate at which the server may send to a UDP client.", RATES)

# Nodes

COMPLETE = gauge(
    "craftnet_cluster_complete",
    "1 while all nodes know what they share, 0 while something may be missing; absent without other nodes.",
    {"what": ("revocations", "places")},
    "livemin",
)
RESTARTS = counter(
    "craftnet_worker_restarts_total",
    "Workers that died and were started again; only with --workers.",
    {"worker": ()},
)

# Audit

NOTIFICATIONS = counter(
    "craftnet_notifications_total",
    "Notifications of players without a connection, by what became of them; only with --notify.",
    {"outcome": ("delivered", "refused", "dropped")},
)
AUDIT_ENTRIES = counter("craftnet_audit_entries_total", "Entries written to the audit log; only with --audit.")
AUDIT_FAILURES = counter(
    "craftnet_audit_failures_total",
    "Failed attempts to write, sync or rotate the audit log, and lost events; only with --audit.",
    {"kind": ("write", "sync", "rotate", "lost")},
)
AUDIT_WAITING = gauge(
    "craftnet_audit_waiting_events", "Security events that wait to be written to the audit log; only with --audit."
)

# Traces

TRACE_SPANS = counter(
    "craftnet_trace_spans_total",
    "Finished spans, by what became of them: the queue of dropped ones was full; only with --otlp.",
    {"outcome": ("exported", "failed", "dropped")},
)

FAMILIES = (
    *(CONNECTIONS, WATCHERS, RETURNS, REFUSALS),
    *(SESSIONS, EVENTS, PLAYER_REPORTS, DELIVERIES, LATENCIES),
    *(DATAGRAMS, ROUND_TRIP, VARIATION, JITTER, CLOCK_OFFSET, LOSS_OUT, LOSS_IN, REORDERED, SEND_RATE),
    *(COMPLETE, RESTARTS),
    *(AUDIT_ENTRIES, AUDIT_FAILURES, AUDIT_WAITING, TRACE_SPANS),
)
"""All of them."""
