"""How fast one peer may be told: less when datagrams get lost or late, then a little more every second. Pure."""

from __future__ import annotations

from math import inf

from msgspec import Struct

from craftnet.protocols.udp.conditions import Conditions

RATE = 50_000
"""Bytes per second to one peer at most, IP and UDP headers included."""

FLOOR = 4_000
"""Bytes per second that a peer gets on the worst of lines."""

BURST = 0.1
"""Seconds of the rate that may go out at once after a pause."""

LOSS = 0.05
"""The share of lost datagrams above which the rate is halved."""

DELAY = 0.1
"""Seconds by which the round trip may exceed the shortest one lately before the rate is halved: queues fill up."""

IP_UDP = 48
"""Bytes of the headers below ours, IPv6 counted."""

_STEP = 1.0  # seconds between two decisions: a lower rate needs time to show.
_CREEP = RATE / 20
_FORGETTING = 32


class Pace(Struct, eq=False, gc=False):
    """The clock that lets datagrams go.

    Attributes:
        rate: bytes per second now.
        opens: when something may be sent, Unix seconds.
    """

    rate: float = RATE
    opens: float = -inf
    _decided: float = -inf
    _shortest: float = inf

    @property
    def hindered(self) -> bool:
        """Whether the line has lately lost, or delayed, more than it should."""
        return self.rate < RATE

    def sent(self, size: int, now: float) -> None:
        """A datagram of `size` bytes went out."""
        opens, rested = self.opens, now - BURST
        self.opens = (opens if opens > rested else rested) + (size + IP_UDP) / self.rate

    def forget_line(self) -> None:
        """The peer is somewhere else now."""
        self._shortest = inf

    def adapt(self, conditions: Conditions, now: float) -> None:
        """The line is like this now."""
        trip = conditions.round_trip
        if trip is not None:
            self._shortest = min(self._shortest, trip)
        if now < self._decided + _STEP:
            return
        self._decided = now
        late = trip is not None and trip > self._shortest + DELAY
        if trip is not None:
            # A longer way that stays is no queue that fills up.
            self._shortest += (trip - self._shortest) / _FORGETTING
        if late or conditions.loss_out > LOSS:
            self.rate = max(FLOOR, self.rate / 2)
        else:
            self.rate = min(RATE, self.rate + _CREEP)
