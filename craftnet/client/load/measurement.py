"""The results of a load run: deliveries matched with their events, histograms, promises kept or broken. Pure."""

from __future__ import annotations

from collections import deque
from math import ceil, log

from msgspec import Struct, field

from craftnet.client.load.plan import TAGS, UDP, WS, Transport, tag

LATENCY = {WS: 0.005, UDP: 0.001}
"""Seconds that the service promises for an update to reach its watcher, by transport."""

PROMISED_RATE = 50_000
"""Bytes per second that the service promises for an active session."""

MEMORY = 10_000
"""Bytes of the server's memory that the service promises for an active session."""

MEMORY_WATCHERS = 1000
"""Minimum number of watchers for a statement about memory: with fewer, what any first use allocates dominates."""

BUSY = 0.7
"""The share of a core above which a process of the generator counts as a bottleneck."""

WAITED = 0.05
"""The share of the time that a server waits for a processor above which latencies describe the machine."""

_STEP = log(1.01)


class Histogram(Struct):
    """Durations with a precision of 1 %, in buckets of microseconds."""

    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float) -> None:
        """Adds a duration. Those below a microsecond count as one microsecond."""
        index = ceil(log(seconds * 1e6) / _STEP) if seconds > 1e-6 else 0
        self.buckets[index] = self.buckets.get(index, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Adds all durations of another histogram."""
        for index, number in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + number

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self.buckets.values())

    def percentile(self, percent: float) -> float:
        """The duration, in seconds, that `percent` of them do not exceed, at most 1 % too long; 0.0 without any."""
        wanted, seen = ceil(self.count * percent / 100), 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= wanted:
                return float(1.01**index / 1e6)
        return 0.0


class Deliveries:
    """Matches arrivals at watchers with the events that caused them.

    Arguments:
        watchers: their number.

    Attributes:
        latencies: those of all updates that arrived.
        superseded: updates that never arrived because a newer one did; they count with the time of the newer one.
    """

    def __init__(self, watchers: int) -> None:
        self.latencies = Histogram()
        self.posted = self.superseded = 0
        self._pending: list[deque[tuple[int, float]]] = [deque(maxlen=TAGS - 1) for _ in range(watchers)]

    @property
    def pending(self) -> int:
        """The number of updates that have not arrived."""
        return self.posted - self.latencies.count

    def post(self, watcher: int, turn: int, when: float) -> None:
        """Records that update `turn` of a watcher's session is posted at `when`, Unix seconds."""
        self.posted += 1
        self._pending[watcher].append((tag(turn), when))

    def arrive(self, watcher: int, quality: int, when: float) -> None:
        """Records a state with this quality at the watcher. A known one is a refresh, and is not counted."""
        pending = self._pending[watcher]
        if not any(waiting == quality for waiting, _ in pending):
            return
        while True:
            waiting, posted = pending.popleft()
            self.latencies.add(when - posted)
            if waiting == quality:
                return
            self.superseded += 1


class Result(Struct, kw_only=True):
    """The results of one process, or of several together.

    Attributes:
        connected, watchers: watchers that received their first state, of how many.
        refused, ended: why others did not, and why connections ended early; with counts.
        posted, lost, superseded: updates; those that no watcher received; those that a newer one replaced.
        rejected: events that the server did not accept.
        latencies: from the posting of an event to its arrival.
        connects: from the first octet of a handshake to the first state.
        posts: from a body's first octet to its answer.
        late: how much later than planned bodies were sent.
        octets, most_octets: received while measuring, by all watchers and by the one with the most.
        seconds: the duration of the measurement.
        busy: the share of a core that the busiest process of the generator used meanwhile.
    """

    transport: Transport
    watchers: int
    connected: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    posted: int = 0
    lost: int = 0
    superseded: int = 0
    rejected: int = 0
    latencies: Histogram = field(default_factory=Histogram)
    connects: Histogram = field(default_factory=Histogram)
    posts: Histogram = field(default_factory=Histogram)
    late: Histogram = field(default_factory=Histogram)
    octets: int = 0
    most_octets: int = 0
    seconds: float = 0.0
    busy: float = 0.0

    def merge(self, other: Result) -> None:
        """Adds the results of another process."""
        for name in ("watchers", "connected", "posted", "lost", "superseded", "rejected", "octets"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reasons, more in ((self.refused, other.refused), (self.ended, other.ended)):
            for reason, number in more.items():
                reasons[reason] = reasons.get(reason, 0) + number
        for name in ("latencies", "connects", "posts", "late"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("most_octets", "seconds", "busy"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))

    @property
    def octets_per_session(self) -> float:
        """Bytes per second of the watcher that received most."""
        return self.most_octets / self.seconds if self.seconds else 0.0


class ServerUse(Struct, frozen=True):
    """The resources that the server's processes used.

    Attributes:
        cpu: seconds of processor time while updates were measured.
        waited: seconds meanwhile in which a process was runnable without a free processor.
        connect_cpu: seconds of processor time while watchers connected.
        empty, full: bytes of memory before the sessions were started, and with every watcher connected.
    """

    cpu: float
    waited: float
    connect_cpu: float
    empty: int
    full: int


class Promise(Struct, frozen=True):
    """One promise of the service.

    Attributes:
        name: the subject of the promise.
        limit, measured: in the same `unit`; `kept` is the result of the comparison.
        timed: whether a busy machine, or a busy generator, can break it.
    """

    name: str
    unit: str
    limit: float
    measured: float
    kept: bool
    timed: bool = False


def promises(results: list[Result], server: ServerUse | None, percent: float) -> list[Promise]:
    """Compares the measurements with the promises of the service.

    Arguments:
        percent: the percentile of latencies that must keep the promise.
    """
    found = []
    for result in results:
        where = {WS: "WebSocket", UDP: "UDP"}[result.transport]
        for what, number, timed in (
            ("watchers not admitted", result.watchers - result.connected, False),
            ("connections lost", sum(result.ended.values()), True),
            ("events rejected", result.rejected, False),
            ("updates lost", result.lost, True),
        ):
            found.append(Promise(f"{where} {what}", "", 0, number, number == 0, timed))
        limit, measured = LATENCY[result.transport], result.latencies.percentile(percent)
        name = f"{where} event → delivery, p{percent:g}"
        kept = measured < limit and result.latencies.count > 0
        found.append(Promise(name, "ms", limit * 1e3, measured * 1e3, kept, timed=True))
        octets = result.octets_per_session
        found.append(
            Promise(f"{where} traffic of a session", "KB/s", PROMISED_RATE / 1e3, octets / 1e3, octets < PROMISED_RATE)
        )
    watchers = sum(result.watchers for result in results)
    if server is not None and watchers >= MEMORY_WATCHERS:
        each = (server.full - server.empty) / watchers
        found.append(Promise("server memory of a session", "KB", MEMORY / 1e3, each / 1e3, each < MEMORY))
    return found


def doubts(results: list[Result], server: ServerUse | None, percent: float) -> list[str]:
    """Reasons why latencies and losses may describe the generator or the machine rather than the server."""
    found = []
    for result in results:
        if result.busy > BUSY:
            found.append(
                f"the generator may be the bottleneck: a process of it used {result.busy:.0%} of a core; "
                "give it more --processes"
            )
        late = result.late.percentile(percent)
        if late > LATENCY[result.transport]:
            found.append(
                f"this machine may be the bottleneck: events were posted up to {late * 1e3:.1f} ms late (p{percent:g})"
            )
    seconds = max(result.seconds for result in results)
    if server is not None and seconds and server.waited / seconds > WAITED:
        found.append(
            f"this machine may be the bottleneck: the server waited for a processor {server.waited / seconds:.0%} of "
            "the time"
        )
    return found
