"""What is counted for every delivery and every datagram: additions to plain numbers, and as few calls as possible."""

from __future__ import annotations

from bisect import bisect_left

from craftnet.observe.metrics.store import Distribution, Number


class DeliveryCounts:
    """The deliveries of one transport.

    Attributes:
        messages: their number.
        latency: seconds from an event's acceptance to the hand-over.
    """

    __slots__ = ("latency", "messages")

    def __init__(self, messages: Number, latency: Distribution) -> None:
        self.messages = messages
        self.latency = latency

    def count(self, messages: int, latency: float | None) -> None:
        """As in `Metrics.delivered`."""
        self.messages.value += messages
        if latency is not None:
            seconds = self.latency
            if latency > 0.0:
                seconds.total += latency
            seconds.counts[bisect_left(seconds.bounds, latency)] += 1
