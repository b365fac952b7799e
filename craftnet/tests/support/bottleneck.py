"""A seeded path with a bottleneck: one direction of a network, in simulated time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random

from craftnet.protocols.udp.client.connection import ACK_DELAY, ACK_EVERY
from craftnet.protocols.udp.core.pacing import IP_UDP_HEADERS, Pacer
from craftnet.protocols.udp.core.path_stats import DeliveryRecord

_ACKNOWLEDGED = (1 << 33) - 1

Scheduler = Callable[[float, Callable[[float, "Scheduler"], None]], None]
"""Calls back at a time."""

DEFAULT_BUFFER = 32_000
"""Bytes of the bottleneck's buffer: 4 s at 64 kbit/s, as home routers and base stations have."""


class Link:
    """One direction of a path: a drop-tail queue in front of a bottleneck, then latency, jitter and loss. In order.

    Arguments:
        rate: of the bottleneck, bytes per second.
        buffer: bytes that may wait for the bottleneck; more is lost.
        latency: seconds that every datagram takes besides.
        jitter: maximum of further seconds.
        loss: the share of lost datagrams, at random.
        outage: the end of an outage that includes this time, or the time itself; what arrives meanwhile waits.

    Attributes:
        lost: the number of lost datagrams.
        queued: seconds that each carried datagram waited for the bottleneck.
    """

    def __init__(
        self,
        random: Random,
        *,
        rate: float = inf,
        buffer: int = DEFAULT_BUFFER,
        latency: float = 0.025,
        jitter: float = 0.0,
        loss: float = 0.0,
        outage: Callable[[float], float] = lambda now: now,
    ) -> None:
        self.rate = rate
        self.latency = latency
        self.loss = loss
        self.lost = 0
        self.queued: list[float] = []
        self._random = random
        self._buffer = buffer
        self._jitter = jitter
        self._outage = outage
        self._busy_until = -inf
        self._last_arrival = -inf

    def carry(self, size: int, now: float) -> float | None:
        """When a datagram of `size` bytes, headers included, arrives; None if it is lost."""
        begins = self._outage(max(now, self._busy_until))
        if self.rate < inf and (begins - now) * self.rate > self._buffer - size:
            self.lost += 1
            return None
        self.queued.append(begins - now)
        self._busy_until = begins + size / self.rate
        if self._random.random() < self.loss:
            self.lost += 1
            return None
        arrival = self._busy_until + self.latency + self._random.random() * self._jitter
        self._last_arrival = max(self._last_arrival, arrival)
        return self._last_arrival


class HandOvers:
    """Hand-overs from one cell to the next: nothing is carried meanwhile; what was sent arrives after it.

    Arguments:
        every: mean seconds from one to the next.
        lasts: seconds of each.
        begins, ends: the period in which they happen.

    Attributes:
        starts: when each begins.
    """

    def __init__(self, random: Random, every: float, lasts: float, begins: float, ends: float) -> None:
        self.lasts = lasts
        self.starts: list[float] = []
        when = begins + random.uniform(0.5, 1.5) * every
        while when < ends:
            self.starts.append(when)
            when += random.uniform(0.5, 1.5) * every

    def outage(self, now: float) -> float:
        """As in `Link`."""
        index = bisect_right(self.starts, now)
        return max(now, self.starts[index - 1] + self.lasts) if index else now


class Flow:
    """A paced sender and a client that acknowledges as PROTOCOL.md 5.6 demands; `run` moves the time.

    Arguments:
        pace: the sender's.
        down, up: the path. Several flows may share a link.
        begins: when it starts to send, seconds.
        size: bytes of its datagrams.
        demand: bytes per second that it has to send at most; infinite: always more than it may.
        asleep: until when a client that sleeps at this time does, or the time itself.

    Attributes:
        received: when each datagram arrived, and its bytes with all headers.
        rates: the rate at each acknowledgement.
    """

    def __init__(
        self,
        pace: Pacer,
        down: Link,
        up: Link,
        *,
        begins: float = 0.0,
        size: int = 1200,
        demand: float = inf,
        asleep: Callable[[float], float] = lambda now: now,
    ) -> None:
        self.pace = pace
        self.received: list[tuple[float, int]] = []
        self.rates: list[tuple[float, float]] = []
        self._down, self._up = down, up
        self._begins = begins
        self._size = size
        self._demand = demand
        self._asleep = asleep
        self._sequence = 0
        self._delivery = DeliveryRecord()
        self._newest = self._unacknowledged = 0
        self._arrived = 0  # bit i: sequence newest − i has arrived.
        self._ack_at = inf

    def send(self, now: float, later: Scheduler) -> None:
        """Sends a datagram, and schedules the next one."""
        self._sequence += 1
        self.pace.sent(self._size, now, self._sequence)
        arrival = self._down.carry(self._size + IP_UDP_HEADERS, now)
        if arrival is not None:
            later(self._asleep(arrival), partial(self._arrive, self._sequence))
        wanted = now + (self._size + IP_UDP_HEADERS) / self._demand
        later(max(now, self.pace.opens, wanted), self.send)

    def bytes_between(self, begin: float, end: float) -> int:
        """Bytes that arrived in a period."""
        return sum(size for when, size in self.received if begin <= when < end)

    def begin(self, later: Scheduler) -> None:
        """Schedules its first datagram."""
        later(self._begins, self.send)

    def _arrive(self, sequence: int, now: float, later: Scheduler) -> None:
        self.received.append((now, self._size + IP_UDP_HEADERS))
        ahead = sequence - self._newest
        self._arrived = (self._arrived << ahead | 1) & _ACKNOWLEDGED if ahead > 0 else self._arrived | 1 << -ahead
        self._newest = max(self._newest, sequence)
        self._unacknowledged += 1
        if self._unacknowledged == 1 or self._unacknowledged == ACK_EVERY:
            self._ack_at = now if self._unacknowledged == ACK_EVERY else now + ACK_DELAY
            later(self._ack_at, self._acknowledge)

    def _acknowledge(self, now: float, later: Scheduler) -> None:
        if not self._unacknowledged:
            return
        self._unacknowledged = 0
        arrival = self._up.carry(35 + IP_UDP_HEADERS, now)
        if arrival is not None:
            later(arrival, partial(self._take, self._newest, self._arrived))

    def _take(self, newest: int, bits: int, now: float, later: Scheduler) -> None:
        self._delivery.take(newest, bits)
        self.pace.acknowledged(self._delivery, now)
        self.rates.append((now, self.pace.rate))


class TcpFlow:
    """A bulk transfer of TCP Reno without its slow start: one segment more per round trip, half of them after a loss.

    Arguments:
        down, up: the path, which it shares with other flows.
        begins, ends: when it sends, seconds.
    """

    SEGMENT = 1500

    def __init__(self, down: Link, up: Link, *, begins: float = 0.0, ends: float = inf) -> None:
        self._down, self._up = down, up
        self._begins, self._ends = begins, ends
        self._window, self._flying = 2.0, 0
        self._halved = -inf

    def begin(self, later: Scheduler) -> None:
        """Schedules its first segments."""
        later(self._begins, self._fill)

    def _fill(self, now: float, later: Scheduler) -> None:
        while self._flying < int(self._window) and now < self._ends:
            self._flying += 1
            arrival = self._down.carry(self.SEGMENT, now)
            if arrival is None:
                later(now + 0.2, partial(self._lost, now))
            else:
                later(self._up.carry(40, arrival) or arrival, self._acknowledged)

    def _acknowledged(self, now: float, later: Scheduler) -> None:
        self._flying -= 1
        self._window += 1 / self._window
        self._fill(now, later)

    def _lost(self, sent: float, now: float, later: Scheduler) -> None:
        self._flying -= 1
        if sent > self._halved:
            self._window, self._halved = max(2.0, self._window / 2), now
        self._fill(now, later)


def run(
    flows: Sequence[Flow | TcpFlow], seconds: float, changes: Sequence[tuple[float, Callable[[], object]]] = ()
) -> None:
    """Lets time pass, from 0, with changes of the path at these times."""
    events: list[tuple[float, int, Callable[[float, Scheduler], None]]] = []
    numbers = count()

    def later(when: float, event: Callable[[float, Scheduler], None]) -> None:
        heappush(events, (when, next(numbers), event))

    for flow in flows:
        flow.begin(later)
    for when, change in changes:
        later(when, partial(_changed, change))
    while events and events[0][0] < seconds:
        now, _, event = heappop(events)
        event(now, later)


def _changed(change: Callable[[], object], now: float, later: Scheduler) -> None:
    change()
