"""Counters for every delivery and every datagram: plain additions, with as few calls as possible."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable

from craftnet.observe.metrics import families
from craftnet.observe.metrics.family import OTHER
from craftnet.observe.metrics.store import Distribution, MetricStore, Number


class _OctetsByEncoding(dict[Hashable, Number]):
    """Counts the bytes of each encoding; of one that wraps another, while its connection is traced, as that one."""

    def __init__(self, other: Number) -> None:
        super().__init__()
        self._other = other

    def __missing__(self, encoding: Hashable) -> Number:
        return self.get(getattr(encoding, "inner", None), self._other)


class DeliveryCounts:
    """The deliveries of one transport.

    Attributes:
        messages: their number.
        latency: seconds from an event's acceptance to the hand-over.
        octets: bytes of updates, by encoding.
        conflated, dropped: updates that were not sent.
        waiting: updates that wait for clients that do not read.
    """

    __slots__ = ("_sent", "_transport", "conflated", "dropped", "latency", "messages", "octets", "waiting")

    def __init__(self, store: MetricStore, transport: str) -> None:
        self._sent = store.numbers(families.SENT_BYTES)
        self._transport = transport
        self.messages = store.numbers(families.DELIVERIES)[transport,]
        self.latency: Distribution = store.distributions(families.LATENCIES)[transport,]
        self.octets = _OctetsByEncoding(self._sent[transport, OTHER])
        self.conflated = store.numbers(families.CONFLATED)[transport,]
        self.dropped = store.numbers(families.DROPPED)[transport,]
        self.waiting = store.numbers(families.QUEUE_DEPTH)[transport,] if transport != "udp" else Number()

    def encoded_by(self, encoding: Hashable, name: str) -> None:
        """Counts the bytes of an encoding under a name."""
        self.octets[encoding] = self._sent[self._transport, name]

    def count(self, messages: int, latency: float | None) -> None:
        """As in `Metrics.delivered`."""
        self.messages.value += messages
        if latency is not None:
            seconds = self.latency
            if latency > 0.0:
                seconds.total += latency
            seconds.counts[bisect_left(seconds.bounds, latency)] += 1


class DatagramCounts:
    """Counts on UDP connections.

    Attributes:
        accepted: datagrams in that were accepted.
        sent, compressed: bytes of datagrams out.
        received: bytes of datagrams in.
        migrations, resyncs, full_syncs, conflated: how often each happened.
        sent_keys, received_keys: key updates of each direction.
    """

    __slots__ = (
        *("accepted", "compressed", "conflated", "full_syncs", "migrations", "received", "received_keys", "resyncs"),
        *("sent", "sent_keys"),
    )

    def __init__(self, store: MetricStore | None = None) -> None:
        store = store or MetricStore()
        self.accepted = store.numbers(families.DATAGRAMS)["accepted",]
        self.sent = store.numbers(families.SENT_BYTES)["udp", "plain"]
        self.compressed = store.numbers(families.SENT_BYTES)["udp", "compressed"]
        self.received = store.numbers(families.RECEIVED_BYTES)["udp", "plain"]
        self.migrations = store.numbers(families.MIGRATIONS)[()]
        self.resyncs = store.numbers(families.RESYNCS)[()]
        self.full_syncs = store.numbers(families.FULL_SYNCS)[()]
        self.conflated = store.numbers(families.CONFLATED)["udp",]
        keys = store.numbers(families.KEY_UPDATES)
        self.sent_keys, self.received_keys = keys["sent",], keys["received",]
