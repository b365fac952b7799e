"""Answers of the admin API about a whole server: who may do what, what every node does, and the last 15 minutes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from craftnet.contract.messages import Natural, Time

Count = Annotated[int, Meta(ge=0)]
"""A number that may need more than 32 bits, such as one of bytes."""

Amount = Annotated[float, Meta(ge=0)]
"""A measured figure."""

Ratio = Annotated[float, Meta(ge=0, le=1)]
"""A share of a whole."""


class DashboardMode(StrEnum):
    """What `--dashboard` allows."""

    READ_ONLY = "read-only"
    """Administrators may look; every POST is refused."""
    ON = "on"
    """Operators may act as well."""


class Promises(Struct, frozen=True, kw_only=True):
    """The figures that the service promises, to draw beside those that it has."""

    websocket_delivery_ms: Amount
    """Most milliseconds from an event to the transport, over WebSocket and as an event stream."""
    udp_delivery_ms: Amount
    """Most milliseconds from an event to the transport, over UDP."""
    session_memory_bytes: Count
    """Most bytes of memory for one session."""
    session_bytes_per_second: Count
    """Most bytes per second to one session's player."""


class AdminInfo(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin`: what the bearer of the token may do here."""

    node: str
    """The node that answers."""
    version: str
    """Its version."""
    mode: DashboardMode
    """What `--dashboard` allows."""
    may_operate: bool
    """Whether this token may act: the mode is `on`, and the token has the scope `crafting:operate`."""
    promises: Promises
    """The figures that the service promises."""


class Latency(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A distribution of times, from the buckets of a histogram."""

    count: Count
    """Number of measurements in the window."""
    p50_ms: Amount | None = None
    """Median in milliseconds; absent without measurements."""
    p99_ms: Amount | None = None
    """99th percentile in milliseconds; absent without measurements."""


class Figures(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one node, or all together, do now. `Overview.windows` says over which time each figure is taken."""

    connections: dict[str, Count]
    """Open connections by transport: `websocket`, `sse`, `udp`."""
    watchers: dict[str, Count]
    """Open subscriptions by feed: `crafting`, `queue`, `health`."""
    sessions: Count
    """Sessions that are kept, finished ones included."""
    events_per_second: Amount
    """Authority events applied or refused."""
    deliveries_per_second: Amount
    """Messages handed to a transport."""
    bytes_per_second: Amount | None = None
    """Bytes handed to transports; absent while this server does not count them."""
    delivery: dict[str, Latency]
    """Time from an event to its hand-over, by transport."""
    round_trip: Latency
    """Smoothed round trips of UDP connections."""
    loop_delay: Latency
    """Time by which the event loop was late."""
    memory_bytes: Count
    """Resident memory of the processes."""
    session_memory_bytes: Amount | None = None
    """Memory beyond that of an empty process, per kept session; absent without sessions."""
    returns: Count
    """Clients that came back with a position."""
    recovered_ratio: Ratio | None = None
    """Share of them that missed nothing; absent when none came back."""
    refusals: dict[str, Count]
    """Requests and connections that were refused or cut off, by reason."""


class NodeState(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a node stands with the back end."""

    backend: str
    """Name of the back end."""
    shared: bool
    """Whether other nodes share its state."""
    epoch: str | None = None
    """The epoch of positions; nodes of one cluster have the same one."""
    stalled: str | None = None
    """Why this node receives no changes, in English; absent while it does."""
    response_time_ms: Natural | None = None
    """Milliseconds that the back end took for its last health check."""


class LimitUse(Struct, frozen=True, kw_only=True):
    """How much of a limit is used."""

    used: Count
    """How much is used now."""
    limit: Count
    """How much may be used; 0: any number."""


class NodeOverview(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One process: a node, or a worker of one."""

    node: str
    """Its name, which other routes take."""
    answering: bool
    """Whether it answered the last time; its figures are the last known ones when it did not."""
    timestamp: Time
    """When the figures were taken, on its own clock."""
    version: str
    """Its version."""
    uptime_seconds: Natural
    """Seconds since it started."""
    ready: bool
    """Whether it takes requests; false while it starts, drains or cannot work."""
    draining: bool
    """Whether it is being drained."""
    state: NodeState
    """How it stands with the back end."""
    figures: Figures
    """What it does."""
    limits: dict[str, LimitUse] = {}
    """The limits of the process by name: `connections`, `half_open`, `udp_tickets`."""


class Windows(Struct, frozen=True, kw_only=True):
    """Over which time figures are taken, in seconds."""

    rates_seconds: Natural
    """Figures per second."""
    latencies_seconds: Natural
    """Medians and percentiles."""
    counts_seconds: Natural
    """Returns, recovered ratio and refusals."""


class Overview(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/overview`."""

    timestamp: Time
    """When it was made."""
    windows: Windows
    """Over which time the figures are taken."""
    total: Figures
    """All nodes together."""
    nodes: list[NodeOverview]
    """Each node, by name. One that fell silent is listed for a minute."""


class OverviewSeries(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/series`: the last 15 minutes, which the server keeps."""

    until: Time
    """The end of the last step."""
    step_seconds: Natural
    """Seconds between two points."""
    values: dict[str, list[float | None]]
    """For each series its points, the oldest first, all of the same number; null where nothing is known."""
