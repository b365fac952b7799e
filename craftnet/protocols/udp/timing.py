"""What heartbeats tell: how long a round trip takes, and how far the other side's clock is off."""

from __future__ import annotations

import struct

from msgspec import Struct

from craftnet.protocols.records import Heartbeat

INITIAL_TIMEOUT = 1.0
"""Seconds before the first resend, until a round trip was measured (RFC 6298 section 2.1)."""

MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 5.0

DOUBLINGS = 6
"""How often a timeout is doubled; beyond that it is at its most anyway."""

ACK_PATIENCE = 0.04
"""Seconds by which the acknowledgement of a state may come later than an answer at once: the other side waits 20 ms for
more to acknowledge, and timers are late."""

PATIENCE = 3
"""Heartbeat intervals of silence after which the other side is taken for dead."""

SAMPLES = 8
"""How many heartbeats the clock offset is chosen from."""

PROBING = 1.0
"""Seconds between heartbeats while nothing is heard, and before one that was lost is sent again."""

_SAMPLE = struct.Struct("dd")

_LONGEST = 60.0  # seconds; a "round trip" beyond it is a clock that was set.


class RoundTrip(Struct, eq=False, gc=False):
    """The smoothed round trip and the resend timeout of RFC 6298 section 2.

    Attributes:
        smoothed: seconds; None before the first measurement.
        variation: seconds.
    """

    smoothed: float | None = None
    variation: float = 0.0

    def measured(self, seconds: float) -> None:
        """A round trip took this long."""
        if not 0 <= seconds <= _LONGEST:
            return
        if self.smoothed is None:
            self.smoothed = seconds
            self.variation = seconds / 2
        else:
            self.variation += (abs(self.smoothed - seconds) - self.variation) / 4
            self.smoothed += (seconds - self.smoothed) / 8

    def forget(self) -> None:
        """Measure anew."""
        self.smoothed, self.variation = None, 0.0

    @property
    def timeout(self) -> float:
        """Seconds to wait for an acknowledgement."""
        if self.smoothed is None:
            return INITIAL_TIMEOUT
        timeout = self.smoothed + 4 * self.variation
        return MIN_TIMEOUT if timeout < MIN_TIMEOUT else min(MAX_TIMEOUT, timeout)


class Pulse:
    """The heartbeats of one connection, from one side.

    One goes out every `interval`. When for so long nothing was heard, or the other side does not know of our newest one
    though it should, another goes out soon: three of them may get lost in a row on a bad line that is alive.

    Arguments:
        interval: seconds.
        now: when the connection begins, Unix seconds; the first heartbeat is due then.

    Attributes:
        round_trip: fed by every heartbeat that echoes one of ours.
        offset: seconds to add to our clock to get the other side's: of the last samples, the one with the least delay;
            None before the first.
        uncertainty: seconds by which that may be wrong: half that delay.
        jitter: the smoothed difference between the times two heartbeats take, seconds (RFC 3550 section 6.4.1).
    """

    __slots__ = (
        "_beat_at",
        "_heard",
        "_heard_us",
        "_interval",
        "_newest",
        "_samples",
        "_sent",
        "jitter",
        "offset",
        "round_trip",
        "uncertainty",
    )

    def __init__(self, interval: float = 5.0, now: float = 0.0) -> None:
        self._interval = interval
        self._heard = self._beat_at = now
        self._sent = 0.0
        self.round_trip = RoundTrip()
        self.offset: float | None = None
        self.uncertainty = 0.0
        self.jitter = 0.0
        self._samples = b""  # delays and offsets, packed: as tuples, eight of them take 1.1 KB.
        self._newest = 0
        self._heard_us = 0

    def begin(self, now: float) -> None:
        """The connection begins only now."""
        self._heard = self._beat_at = now

    def alive(self, now: float) -> None:
        """Something authentic came in."""
        self._heard = now

    @property
    def deadline(self) -> float:
        """When a heartbeat is due, or the other side is to be taken for dead, Unix seconds."""
        return min(self._beat_at, self._heard + PATIENCE * self._interval)

    def dead(self, now: float) -> bool:
        """Whether the silence has lasted too long."""
        return now >= self._heard + PATIENCE * self._interval

    def due(self, now: float) -> bool:
        """Whether to send a heartbeat."""
        return now >= self._beat_at

    def beat(self, now: float) -> Heartbeat:
        """The heartbeat to send."""
        self._sent = now
        self._beat_at = now + (self._interval if now < self._heard + self._interval else PROBING)
        return Heartbeat(_microseconds(now), self._newest, self._heard_us)

    def heard(self, heartbeat: Heartbeat, now: float) -> None:
        """One came in. Older ones than the newest tell nothing new."""
        if heartbeat.sent_us <= self._newest:
            return
        heard_us = _microseconds(now)
        if self._newest:
            drift = abs((heard_us - self._heard_us) - (heartbeat.sent_us - self._newest)) / 1_000_000
            if drift <= _LONGEST:
                self.jitter += (drift - self.jitter) / 16
        self._newest, self._heard_us = heartbeat.sent_us, heard_us
        if heartbeat.echoed_us < _microseconds(self._sent) and now >= self._sent + self.round_trip.timeout:
            self._beat_at = min(self._beat_at, max(now, self._sent + PROBING))
        if heartbeat.echoed_us:
            there = (heartbeat.received_us - heartbeat.echoed_us) / 1_000_000
            back = (heartbeat.sent_us - self._heard_us) / 1_000_000
            self.sampled(there - back, (there + back) / 2)

    def sampled(self, delay: float, offset: float) -> None:
        """A round trip of `delay` seconds showed the other clock `offset` seconds ahead of ours."""
        self.round_trip.measured(delay)
        if 0 <= delay <= _LONGEST:
            self._samples = self._samples[(1 - SAMPLES) * _SAMPLE.size :] + _SAMPLE.pack(delay, offset)
            least, self.offset = min(_SAMPLE.iter_unpack(self._samples))
            self.uncertainty = least / 2

    def forget_line(self) -> None:
        """The other side is somewhere else now: what was measured on the way there means nothing."""
        self.round_trip.forget()


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
