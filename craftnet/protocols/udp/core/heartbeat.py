"""Heartbeats: they measure the round trip, and the offset of the other side's clock."""

from __future__ import annotations

import struct
from math import inf

from msgspec import Struct, field

from craftnet.protocols.udp.core.written_often import written_often
from craftnet.protocols.wire.records import HeartbeatBody

INITIAL_TIMEOUT = 1.0
"""Seconds before the first retransmission, until a round trip was measured (RFC 6298 section 2.1)."""

MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 5.0

DOUBLINGS = 6
"""Times that a timeout is doubled; beyond that it is at its maximum anyway."""

MAX_ACK_DELAY = 0.04
"""Seconds by which the acknowledgement of a state may come later than an immediate answer: the other side waits 20 ms
for more to acknowledge, and timers are late."""

MISSED_HEARTBEATS = 3
"""Heartbeat intervals of silence after which the other side counts as dead."""

OFFSET_SAMPLES = 8
"""Samples among which the clock offset is chosen, and own heartbeats whose echoes are recognised."""

PROBING = 1.0
"""Seconds between heartbeats while nothing arrives or the other clock is unknown, and before a lost one is repeated."""

MIN_SILENCE = 0.5
"""Seconds of silence that are never unusual: a hand-over between the cells of a mobile network takes 0.2 s."""

UNUSUAL_DEVIATIONS = 2
"""Mean deviations by which a silence exceeds the mean gap when it is unusual: of random arrivals, 1 gap of 12."""

BURST = 0.02
"""Seconds within which datagrams are parts of the same news."""

MIN_GAPS = 4
"""Gaps between datagrams from which on a silence can be judged."""

DRIFT = 0.1
"""Seconds by which two clocks may drift apart while offsets are kept, without having been set."""

HANDSHAKE_RETRY = 0.5
"""Seconds before a handshake datagram is repeated for the first time. What is answered sooner was sent once."""

_SAMPLE = struct.Struct("dd")
_BEAT = struct.Struct("Qd")

_LONGEST = 60.0  # seconds; a "round trip" beyond it is a clock that was set.


class RoundTrip(Struct, eq=False, gc=False):
    """The smoothed round trip and the resend timeout of RFC 6298 section 2.

    Attributes:
        smoothed: seconds; None before the first measurement.
        variation: seconds.
        timeout: seconds to wait for an acknowledgement.
    """

    smoothed: float | None = None
    variation: float = 0.0
    timeout: float = INITIAL_TIMEOUT

    def measured(self, seconds: float) -> None:
        """Adds a measured round trip."""
        if not 0 <= seconds <= _LONGEST:
            return
        if self.smoothed is None:
            self.smoothed = seconds
            self.variation = seconds / 2
        else:
            self.smoothed, self.variation = _smoothed(self.smoothed, self.variation, seconds)
        timeout = self.smoothed + 4 * self.variation
        self.timeout = MIN_TIMEOUT if timeout < MIN_TIMEOUT else min(MAX_TIMEOUT, timeout)

    def forget(self) -> None:
        """Forgets all measurements."""
        self.smoothed, self.variation, self.timeout = None, 0.0, INITIAL_TIMEOUT


class ArrivalGaps(Struct, eq=False, gc=False):
    """The time from one datagram's arrival to the next one's: a mean and a mean deviation, as in RFC 6298 section 2.

    Datagrams that arrive within `BURST` seconds count as one.

    Attributes:
        gap: smoothed seconds.
        deviation: smoothed seconds by which a gap differs from it.
        measured: the number of measurements.
    """

    gap: float = 0.0
    deviation: float = 0.0
    measured: int = 0

    def measure(self, seconds: float) -> None:
        """Adds a gap."""
        if seconds < BURST:
            return
        if not self.measured:
            self.gap, self.deviation = seconds, seconds / 2
        else:
            self.gap, self.deviation = _smoothed(self.gap, self.deviation, seconds)
        self.measured += 1

    @property
    def unusual(self) -> float:
        """Seconds of silence that are unusual; infinite before `MIN_GAPS` measurements."""
        if self.measured < MIN_GAPS:
            return inf
        return max(MIN_SILENCE, self.gap + UNUSUAL_DEVIATIONS * self.deviation)


@written_often
class Heartbeats(Struct, eq=False, gc=False):
    """The heartbeats of one connection, from one side.

    The first is sent at once, and so is the answer to the other side's first; then one every `interval`. Until the
    other side's clock is known, while nothing arrives for an interval, and when the other side does not know our newest
    one though it should, another is sent soon: on a bad path that is alive three in a row may be lost.

    Times are of two kinds. `now` measures durations, on a clock that is never set. `clock` is what heartbeats contain,
    Unix seconds, and may be set at any time.

    Arguments:
        interval: seconds.
        now: when the connection starts; the first heartbeat is due then.

    Attributes:
        round_trip: fed by every heartbeat that echoes one of ours.
        last_heard: when the last authentic datagram arrived; the owner sets it.
        jitter: the smoothed difference between the times that two heartbeats take, seconds (RFC 3550 section 6.4.1).
    """

    _interval: float = 5.0
    last_heard: float = 0.0
    _beat_at: float = 0.0
    round_trip: RoundTrip = field(default_factory=RoundTrip)
    jitter: float = 0.0
    _arrived: float = 0.0
    # Packed: as tuples, eight of each take more than 1 KB.
    _samples: bytes = b""  # delays and offsets, newest last.
    _sent: bytes = b""  # the contents of our last heartbeats, and when they were sent, newest last.
    _newest: int = 0  # the sequence of the newest one received …
    _newest_us: int = 0  # … and its `sent`.

    def __post_init__(self) -> None:
        self._beat_at = self.last_heard

    @property
    def offset(self) -> float | None:
        """Seconds by which the other side's clock is ahead: of the last samples, the one with the least delay.

        None before the first.
        """
        return min(_SAMPLE.iter_unpack(self._samples))[1] if self._samples else None

    @property
    def uncertainty(self) -> float:
        """Seconds by which the offset may be wrong: half that delay."""
        return min(_SAMPLE.iter_unpack(self._samples))[0] / 2 if self._samples else 0.0

    def begin(self, now: float) -> None:
        """The connection starts only now."""
        self.last_heard = self._beat_at = now

    def hurry(self, now: float) -> None:
        """Another heartbeat is due at `now`: our address has changed, or may have, which the other side must learn."""
        self._beat_at = min(self._beat_at, now)

    @property
    def deadline(self) -> float:
        """When a heartbeat is due, or the other side counts as dead."""
        return min(self._beat_at, self.last_heard + MISSED_HEARTBEATS * self._interval)

    def dead(self, now: float) -> bool:
        """Whether the silence has lasted too long."""
        return now >= self.last_heard + MISSED_HEARTBEATS * self._interval

    def due(self, now: float) -> bool:
        """Whether to send a heartbeat."""
        return now >= self._beat_at

    def beat(self, now: float, clock: float) -> HeartbeatBody:
        """The heartbeat to send."""
        well = self.offset is not None and now < self.last_heard + self._interval
        self._beat_at = now + (self._interval if well else PROBING)
        sent_us = _microseconds(clock)
        self._sent = self._sent[(1 - OFFSET_SAMPLES) * _BEAT.size :] + _BEAT.pack(sent_us, now)
        # On our clock as it is set now: the duration in between is right then, whenever it was set.
        received_us = _microseconds(clock - (now - self._arrived)) if self._newest else 0
        return HeartbeatBody(sent_us, self._newest_us, received_us)

    def heard(self, heartbeat: HeartbeatBody, sequence: int, now: float, clock: float) -> None:
        """Handles a heartbeat in the datagram of that sequence. Older ones than the newest are ignored."""
        if sequence <= self._newest:
            return
        if self._newest:
            drift = abs((now - self._arrived) - (heartbeat.sent_us - self._newest_us) / 1_000_000)
            if drift <= _LONGEST:
                self.jitter += (drift - self.jitter) / 16
        first = not self._newest
        self._newest, self._newest_us, self._arrived = sequence, heartbeat.sent_us, now
        beaten = self._echoed(heartbeat.echoed_us)
        if beaten is not None:
            there = heartbeat.received_us / 1_000_000 - (clock - (now - beaten))
            back = heartbeat.sent_us / 1_000_000 - clock
            if self.offset is None:
                self._beat_at = beaten + self._interval
            self.sampled(there - back, (there + back) / 2)
        if first:  # answered at once.
            self._beat_at = now
        newest_us, beaten = _BEAT.unpack_from(self._sent, len(self._sent) - _BEAT.size) if self._sent else (0, now)
        if heartbeat.echoed_us != newest_us and now >= beaten + self.round_trip.timeout:
            self._beat_at = min(self._beat_at, max(now, beaten + PROBING))

    def _echoed(self, sent_us: int) -> float | None:
        """When we sent what is echoed; None when we never did, or long ago. Forgets earlier ones."""
        for index, (known_us, when) in enumerate(_BEAT.iter_unpack(self._sent)):
            if known_us == sent_us:
                self._sent = self._sent[index * _BEAT.size :]
                return float(when)
        return None

    def sampled(self, delay: float, offset: float) -> None:
        """A round trip of `delay` seconds showed the other clock `offset` seconds ahead of ours.

        An offset that contradicts the present samples shows that one of the clocks was set.
        """
        self.round_trip.measured(delay)
        if 0 <= delay <= _LONGEST:
            held = self.offset
            if held is not None and abs(offset - held) > delay / 2 + self.uncertainty + DRIFT:
                self._samples = b""
            self._samples = self._samples[(1 - OFFSET_SAMPLES) * _SAMPLE.size :] + _SAMPLE.pack(delay, offset)

    def forget_path(self) -> None:
        """The other side has moved: measurements of the old path mean nothing."""
        self.round_trip.forget()


def _smoothed(mean: float, deviation: float, seconds: float) -> tuple[float, float]:
    """The smoothed mean and mean deviation after another measurement (RFC 6298 section 2.3)."""
    return mean + (seconds - mean) / 8, deviation + (abs(mean - seconds) - deviation) / 4


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))
