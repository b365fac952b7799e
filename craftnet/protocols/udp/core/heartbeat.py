"""What heartbeats tell: how long a round trip takes, and how far the other side's clock is off."""

from __future__ import annotations

import struct

from msgspec import Struct, field

from craftnet.protocols.wire.records import HeartbeatBody

INITIAL_TIMEOUT = 1.0
"""Seconds before the first resend, until a round trip was measured (RFC 6298 section 2.1)."""

MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 5.0

DOUBLINGS = 6
"""How often a timeout is doubled; beyond that it is at its most anyway."""

MAX_ACK_DELAY = 0.04
"""Seconds by which the acknowledgement of a state may come later than an answer at once: the other side waits 20 ms for
more to acknowledge, and timers are late."""

MISSED_HEARTBEATS = 3
"""Heartbeat intervals of silence after which the other side is taken for dead."""

OFFSET_SAMPLES = 8
"""How many heartbeats the clock offset is chosen from, and how many of our own an echo is known of."""

PROBING = 1.0
"""Seconds between heartbeats while nothing is heard or the other clock is not known, and before one that was lost is
sent again."""

DRIFT = 0.1
"""Seconds by which two clocks may part while offsets are kept, without having been set."""

HANDSHAKE_RETRY = 0.5
"""Seconds before a handshake datagram is sent again for the first time. What is answered sooner was sent once."""

_SAMPLE = struct.Struct("dd")
_BEAT = struct.Struct("Qd")

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


class Heartbeats(Struct, eq=False, gc=False):
    """The heartbeats of one connection, from one side.

    The first goes out at once, and so does the answer to the other side's first; then one every `interval`. Until the
    other side's clock is known, while nothing is heard for an interval, and when the other side does not know of our
    newest one though it should, another goes out soon: three of them may get lost in a row on a bad line that is alive.

    Times are of two kinds. `now` measures how long something takes, on a clock that is never set. `clock` is what
    heartbeats say, Unix seconds, and may be set at any time.

    Arguments:
        interval: seconds.
        now: when the connection begins; the first heartbeat is due then.

    Attributes:
        round_trip: fed by every heartbeat that echoes one of ours.
        last_heard: when something authentic came in last; the owner sets it.
        jitter: the smoothed difference between the times two heartbeats take, seconds (RFC 3550 section 6.4.1).
    """

    _interval: float = 5.0
    last_heard: float = 0.0
    _beat_at: float = 0.0
    round_trip: RoundTrip = field(default_factory=RoundTrip)
    jitter: float = 0.0
    _arrived: float = 0.0
    # Packed: as tuples, eight of each take more than 1 KB.
    _samples: bytes = b""  # delays and offsets, newest last.
    _sent: bytes = b""  # what our last heartbeats said, and when that was, newest last.
    _newest: int = 0  # the sequence of the newest one heard …
    _newest_us: int = 0  # … and what it said.

    def __post_init__(self) -> None:
        self._beat_at = self.last_heard

    @property
    def offset(self) -> float | None:
        """Seconds to add to our clock to get the other side's: of the last samples, the one with the least delay.

        None before the first.
        """
        return min(_SAMPLE.iter_unpack(self._samples))[1] if self._samples else None

    @property
    def uncertainty(self) -> float:
        """Seconds by which that may be wrong: half that delay."""
        return min(_SAMPLE.iter_unpack(self._samples))[0] / 2 if self._samples else 0.0

    def begin(self, now: float) -> None:
        """The connection begins only now."""
        self.last_heard = self._beat_at = now

    def hurry(self, now: float) -> None:
        """Another heartbeat is due at once: our address has changed, and the other side is to find us."""
        self._beat_at = min(self._beat_at, now)

    @property
    def deadline(self) -> float:
        """When a heartbeat is due, or the other side is to be taken for dead."""
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
        # By our clock as it is set now: what passed between the two is right then, whenever it was set.
        received_us = _microseconds(clock - (now - self._arrived)) if self._newest else 0
        return HeartbeatBody(sent_us, self._newest_us, received_us)

    def heard(self, heartbeat: HeartbeatBody, sequence: int, now: float, clock: float) -> None:
        """One came in, as the datagram of that sequence. Older ones than the newest tell nothing new."""
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
        if first:  # it is answered at once.
            self._beat_at = now
        newest_us, beaten = _BEAT.unpack_from(self._sent, len(self._sent) - _BEAT.size) if self._sent else (0, now)
        if heartbeat.echoed_us != newest_us and now >= beaten + self.round_trip.timeout:
            self._beat_at = min(self._beat_at, max(now, beaten + PROBING))

    def _echoed(self, sent_us: int) -> float | None:
        """When we sent what is echoed; None when we never did, or long ago. What was sent before need not be known."""
        for place, (known_us, when) in enumerate(_BEAT.iter_unpack(self._sent)):
            if known_us == sent_us:
                self._sent = self._sent[place * _BEAT.size :]
                return float(when)
        return None

    def sampled(self, delay: float, offset: float) -> None:
        """A round trip of `delay` seconds showed the other clock `offset` seconds ahead of ours.

        An offset that cannot be, as long as those held are right, shows that one of the clocks was set.
        """
        self.round_trip.measured(delay)
        if 0 <= delay <= _LONGEST:
            held = self.offset
            if held is not None and abs(offset - held) > delay / 2 + self.uncertainty + DRIFT:
                self._samples = b""
            self._samples = self._samples[(1 - OFFSET_SAMPLES) * _SAMPLE.size :] + _SAMPLE.pack(delay, offset)

    def forget_path(self) -> None:
        """The other side is somewhere else now: what was measured on the way there means nothing."""
        self.round_trip.forget()


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))
