"""The sending rate to one client: halved when datagrams are lost or late, then raised a little every second. Pure."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from msgspec import Struct

from craftnet.protocols.udp.core.path_stats import DeliveryRecord, PathStats
from craftnet.protocols.udp.core.written_often import written_often

MAX_RATE = 50_000
"""Maximum bytes per second to one client, IP and UDP headers included."""

MIN_RATE = 4_000
"""Bytes per second to a client on the worst path."""

BURST_SECONDS = 0.1
"""Seconds' worth of the rate that may be sent at once after a pause."""

LOSS_THRESHOLD = 0.05
"""The share of lost datagrams above which the rate is halved."""

DELAY_THRESHOLD = 0.1
"""Seconds by which the round trip may exceed the recent minimum before the rate is halved: queues are building up."""

IP_UDP_HEADERS = 48
"""Bytes of the headers below ours, IPv6 counted."""

_STEP = 1.0  # seconds between two decisions: a lower rate needs time to have an effect.
_CREEP = MAX_RATE / 20
_FORGETTING = 32


@written_often
class Pacer(Struct, eq=False, gc=False):
    """Releases datagrams according to the rate.

    Attributes:
        rate: bytes per second now.
        opens: when something may be sent, Unix seconds.
        puts_progress_first: whether progress overtakes tables that wait for the rate.
    """

    puts_progress_first: ClassVar[bool] = False

    rate: float = MAX_RATE
    opens: float = -inf
    _decided: float = -inf
    _shortest: float = inf

    @property
    def hindered(self) -> bool:
        """Whether the path has recently lost, or delayed, more than it should."""
        return self.rate < MAX_RATE

    def sent(self, size: int, now: float, sequence: int = 0) -> None:
        """Records a sent datagram of `size` bytes."""
        opens, rested = self.opens, now - BURST_SECONDS
        self.opens = (opens if opens > rested else rested) + (size + IP_UDP_HEADERS) / self.rate

    def track(self, size: int, now: float, sequence: int) -> None:
        """Records a sent datagram of `size` bytes for which `opens` was set already."""

    def acknowledged(self, delivery: DeliveryRecord, now: float) -> None:
        """Takes an acknowledgement, which `delivery` has recorded."""

    def forget_path(self) -> None:
        """The client has moved."""
        self._shortest = inf

    def adapt(self, conditions: PathStats, now: float) -> None:
        """Adapts the rate to the present conditions."""
        trip = conditions.round_trip
        if trip is not None:
            self._shortest = min(self._shortest, trip)
        if now < self._decided + _STEP:
            return
        self._decided = now
        late = trip is not None and trip > self._shortest + DELAY_THRESHOLD
        if trip is not None:
            # A permanently longer path is not a growing queue.
            self._shortest += (trip - self._shortest) / _FORGETTING
        if late or conditions.loss_out > LOSS_THRESHOLD:
            self.rate = max(MIN_RATE, self.rate / 2)
        else:
            self.rate = min(MAX_RATE, self.rate + _CREEP)
