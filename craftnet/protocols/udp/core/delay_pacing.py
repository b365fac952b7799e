"""A sending rate that predicts queues: it falls while the delay of datagrams grows, before any is lost. Pure.

Delay-based congestion control, after three sources:

- Google Congestion Control: the gradient of the delay by linear regression, a threshold that adapts, and a decrease to
  a share of the received rate (Carlucci, De Cicco, Holmer, Mascolo: "Congestion Control for Web Real-Time
  Communication", IEEE/ACM Transactions on Networking, 2017; draft-ietf-rmcat-gcc-02);
- LEDBAT (RFC 6817): the base delay is the minimum of a recent period, the present delay that of the last samples;
- RFC 7661: a sender with too little to send learns nothing about the path, and does not raise its rate.

Each acknowledgement gives one sample: the seconds since its newest datagram was sent. The way back and the pause of up
to 20 ms before an acknowledgement are in it. The samples of the last second predict the queue `HORIZON` seconds ahead.
Above the threshold, the rate falls below the rate at which the client received, and sending pauses until the queue is
short. All times are of one clock, so the client's clock does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import ClassVar, NamedTuple

from msgspec import field

from craftnet.protocols.udp.core.pacing import IP_UDP_HEADERS, MAX_RATE, MIN_RATE, Pacer
from craftnet.protocols.udp.core.path_stats import OBSERVED_DATAGRAMS, DeliveryRecord, PathStats
from craftnet.protocols.udp.core.written_often import written_often

START_RATE = 10_000
"""Bytes per second on a path that was not measured yet."""

LONGEST_DATAGRAM = 1248
"""Bytes of the longest usual datagram, IP and UDP headers included. Its own transmission is no queue."""

BURST = 0.02
"""Seconds' worth of the rate that may be sent at once after a pause. A longer burst would be a queue by itself."""

WINDOW = 1.0
"""Seconds of samples from which the gradient is computed."""

MAX_SAMPLES = 20
"""Maximum number of samples of a gradient, and a few more."""

FILTER = 3
"""Samples whose minimum is the present delay: one or two late acknowledgements are no queue."""

HORIZON = 0.5
"""Maximum seconds for which a queue is predicted; never longer than the samples reach back."""

BASE_SECONDS = 15.0
"""Seconds of one period of the base delay, which is the minimum of the present period and the one before."""

MIN_THRESHOLD, START_THRESHOLD, MAX_THRESHOLD = 0.03, 0.06, 0.3
"""Seconds of predicted queue beyond which the path is over-used: the bounds of the threshold, and its first value."""

NOISE = 2.0
"""Times that the samples' distance from their trend is subtracted from a predicted queue."""

BACKOFF = 0.85
"""The share of the received rate that the sender uses after an over-use."""

MAX_PAUSE = 0.5
"""Maximum seconds without sending after an over-use."""

STANDING_SECONDS = 4.0
"""Seconds of over-use in spite of a lower rate, after which the lowest delay meanwhile counts as the base: the route
became longer, or the queue is another sender's."""

MAX_BASE = 1.0
"""Maximum seconds that count as the base so."""

MAX_LOSS = 0.1
"""The share of lost datagrams above which the rate falls, whatever the delay is."""

CAPACITY_SECONDS = 30.0
"""Seconds after an over-use for which the received rate counts as the path's capacity."""

TRACKED_DATAGRAMS = 64
"""Maximum number of unacknowledged datagrams, or pairs of them, whose times are kept; even."""

_RISE, _FALL = 0.5, 1.0  # shares of the difference per second by which the threshold follows the prediction …
_SPIKE = 0.3  # … unless that is more than this above it, seconds.
_GROWTH_NEAR_CAPACITY = 1.08  # the factor by which the rate grows in a second near the last known capacity …
_NEAR = 1.25  # … which is within this factor …
_GROWTH = 2.0  # … and elsewhere; on a path that was never over-used, in the time of a round trip.
_MAX_LEAD = 1.5  # times the received rate up to which the rate grows.
_PAUSING = 1.0  # seconds of over-use in which sending pauses in any case.
_MIN_RESPONSE = 0.05  # seconds.
_ACK_DELAY = 0.02  # seconds.
_LATE_TIMER = 0.01  # seconds by which a timer may be late.


class Congestion(Enum):
    """What lowers the rate to a client: late heartbeats and loss, or predicted queues."""

    LOSS = "loss"
    DELAY = "delay"


class DelaySample(NamedTuple):
    """One acknowledgement.

    Attributes:
        arrived: when it came, seconds.
        delay: seconds since its newest datagram was sent.
        size: bytes that were not acknowledged before it.
    """

    arrived: float
    delay: float
    size: int


class Trend(NamedTuple):
    """The least squares line through some samples.

    Attributes:
        gradient: seconds by which the delay grows in a second.
        noise: the mean distance of the samples from the line, seconds.
    """

    gradient: float = 0.0
    noise: float = 0.0


def trend(samples: Sequence[DelaySample]) -> Trend:
    """The trend of the delay; none for fewer than `FILTER` samples, or when all arrived at once."""
    number = len(samples)
    mean_time = sum(sample.arrived for sample in samples) / number
    spread = sum((sample.arrived - mean_time) ** 2 for sample in samples)
    if number < FILTER or spread < 1e-4:
        return Trend()
    mean_delay = sum(sample.delay for sample in samples) / number
    slope = sum((sample.arrived - mean_time) * (sample.delay - mean_delay) for sample in samples) / spread
    distances = (abs(each.delay - mean_delay - slope * (each.arrived - mean_time)) for each in samples)
    return Trend(slope, sum(distances) / number)


@written_often
class DelayPacer(Pacer):
    """Releases datagrams according to a rate that follows from predicted queues.

    Attributes:
        threshold: the present threshold, seconds.
        capacity: the rate at which the client received during the last over-use, bytes per second; infinite when that
            was long ago.
    """

    puts_progress_first: ClassVar[bool] = True

    rate: float = START_RATE
    threshold: float = START_THRESHOLD
    capacity: float = inf
    # Unacknowledged datagrams: sequence, time, bytes; oldest first.
    _flight: list[tuple[int, float, int]] = field(default_factory=list)
    _samples: list[DelaySample] = field(default_factory=list)
    _newest: int = 0  # the highest sequence of a sample.
    _last_sent: float = -inf
    _limited: float = -inf  # when the rate last delayed a datagram …
    _busy_since: float = -inf  # … and since when it delayed each.
    _least: float = inf  # the minimum delay of this period …
    _least_before: float = inf  # … and of the one before.
    _period_ends: float = -inf
    _measured: bool = False  # whether this path was over-used before.
    _overused: float = -inf
    _may_decrease: float = -inf
    _episode: float = inf  # when the present over-use began; infinite without one …
    _episode_least: float = inf  # … and the minimum delay since the rate fell.

    @property
    def hindered(self) -> bool:
        """Whether the path was over-used recently."""
        return self.capacity < inf

    @property
    def base(self) -> float:
        """The delay without a queue, seconds; infinite before the first sample."""
        return min(self._least, self._least_before)

    def sent(self, size: int, now: float, sequence: int = 0) -> None:
        """As in `Pacer`, with shorter bursts."""
        super().sent(size, now)
        self.track(size, now, sequence)

    def track(self, size: int, now: float, sequence: int) -> None:
        """As in `Pacer`: remembers the datagram, and whether the rate delayed it."""
        bytes_sent = size + IP_UDP_HEADERS
        duration = bytes_sent / self.rate
        allowed_at = self.opens - duration
        if now > allowed_at + _LATE_TIMER:
            self._busy_since = now
        elif allowed_at > self._last_sent:
            self._limited = now
        self._last_sent = now
        self.opens = max(self.opens, now - BURST + duration)
        self._flight.append((sequence, now, bytes_sent))
        if len(self._flight) >= TRACKED_DATAGRAMS:  # from now on one stands for two of the earlier ones.
            pairs = zip(self._flight[::2], self._flight[1::2], strict=True)
            self._flight = [(later[0], later[1], earlier[2] + later[2]) for earlier, later in pairs]

    def forget_path(self) -> None:
        """As in `Pacer`. The rate is not raised."""
        self.rate, self.threshold, self.capacity = min(self.rate, START_RATE), START_THRESHOLD, inf
        self._samples, self._newest = [], max((sequence for sequence, _, _ in self._flight), default=self._newest)
        self._least = self._least_before = self._episode = inf
        self._measured, self._may_decrease = False, -inf

    def adapt(self, conditions: PathStats, now: float) -> None:
        """Takes the measurements of a heartbeat: a bound of the base delay, and loss."""
        if conditions.round_trip is not None:
            self._note_delay(conditions.round_trip + _ACK_DELAY, now)
        if now > self._overused + CAPACITY_SECONDS:
            self.capacity = inf
            self.rate = max(self.rate, START_RATE)
        if conditions.loss_out > MAX_LOSS and now >= self._may_decrease:
            self._decrease(self.rate * (1 - conditions.loss_out / 2), now, _MIN_RESPONSE)
            self.capacity, self._measured, self._overused = self.rate, True, now

    def acknowledged(self, delivery: DeliveryRecord, now: float) -> None:
        """Takes an acknowledgement, which `delivery` has recorded."""
        newest, arrived = delivery.newest, delivery.arrived
        size, sample, flight = 0, None, list[tuple[int, float, int]]()
        for entry in self._flight:
            behind = newest - entry[0]
            if behind < 0:
                flight.append(entry)
            elif behind < OBSERVED_DATAGRAMS:
                if arrived >> behind & 1:
                    size += entry[2]
                    sample = entry
                else:
                    flight.append(entry)
        self._flight = flight
        if sample is None or sample[0] <= self._newest:
            return
        self._newest = sample[0]
        delay = now - sample[1]
        before = self._samples[-1].arrived if self._samples else -inf
        recent, older = self._samples[1 - FILTER :], self._samples[: 1 - FILTER]
        self._samples = [each for each in older[-MAX_SAMPLES:] if each.arrived > now - WINDOW]
        self._samples += [each for each in recent if each.arrived > now - FILTER * WINDOW]
        self._samples.append(DelaySample(now, delay, size))
        self._note_delay(delay, now)
        self._decide(now, min(now - before, delay))

    def _note_delay(self, delay: float, now: float) -> None:
        if now >= self._period_ends:
            self._least_before, self._least, self._period_ends = self._least, inf, now + BASE_SECONDS
        self._least = min(self._least, delay)

    def _decide(self, now: float, elapsed: float) -> None:
        """Changes the rate according to the samples, `elapsed` seconds after the last of them but one."""
        samples = self._samples
        present = min(sample.delay for sample in samples[-FILTER:])
        queue = present - self.base - LONGEST_DATAGRAM / self.rate
        line = trend(samples)
        predicted = queue + line.gradient * min(HORIZON, now - samples[0].arrived) - NOISE * line.noise
        overused = predicted > self.threshold and len(samples) >= FILTER
        if predicted < self.threshold + _SPIKE:
            follow = (_RISE if predicted > self.threshold else _FALL) * min(elapsed, HORIZON)
            threshold = self.threshold + follow * (max(0.0, predicted) - self.threshold)
            self.threshold = min(MAX_THRESHOLD, max(MIN_THRESHOLD, threshold))
        if overused and now >= self._may_decrease:
            self._overuse(now, present, queue)
        elif predicted < self.threshold:
            calm = predicted < self.threshold / 2
            if calm:
                self._episode = inf
            if now < self._limited + present + HORIZON:
                self._grow(elapsed, max(_MIN_RESPONSE, present), calm=calm)

    def _overuse(self, now: float, present: float, queue: float) -> None:
        if self._episode == inf:
            self._episode, self._episode_least = now, inf
        shrinks = present < self._episode_least
        self._episode_least = min(self._episode_least, present)
        if now > self._episode + STANDING_SECONDS and self._episode_least < MAX_BASE:
            self._least, self._least_before, self._episode, self._samples = self._episode_least, inf, inf, []
            return
        received = self._received
        self.capacity, self._measured, self._overused = received, True, now
        # A queue that stays long in spite of a pause is another sender's.
        excess = queue - self.threshold / 2 if shrinks or now < self._episode + _PAUSING else 0.0
        self._decrease(BACKOFF * received, now, present + _ACK_DELAY, excess)

    @property
    def _received(self) -> float:
        """The rate at which the client received, bytes per second: while the rate limited the sender, if it did.

        A sender with less to send may see the queue of another one: then its rate is halved at most.
        """
        limited = self._limited > self._busy_since
        since = self._busy_since if limited else -inf
        samples = [sample for sample in self._samples if sample.arrived - sample.delay >= since]
        span = samples[-1].arrived - samples[0].arrived if len(samples) >= FILTER else 0.0
        if span < _MIN_RESPONSE:
            return self.rate
        received = sum(sample.size for sample in samples[1:]) / span
        return received if limited else max(received, self.rate / 2)

    def _decrease(self, rate: float, now: float, response: float, queue: float = 0.0) -> None:
        """Lowers the rate. Sends nothing while `queue` seconds of it drain, at most for the time of a response."""
        pause = min(MAX_PAUSE, response, max(0.0, queue))
        self.rate = min(self.rate, max(MIN_RATE, rate))
        self.opens = max(self.opens, now + pause)
        self._may_decrease = now + pause + response
        self._samples = []

    def _grow(self, elapsed: float, response: float, *, calm: bool) -> None:
        if not calm or self.capacity / _NEAR < self.rate < self.capacity * _NEAR:
            factor = _GROWTH_NEAR_CAPACITY**elapsed
        else:
            factor = _GROWTH ** (elapsed if self._measured else elapsed / response)
        self.rate = max(self.rate, min(MAX_RATE, self.rate * factor, _MAX_LEAD * self._received))


def pacer(congestion: Congestion) -> Pacer:
    """The pacer of a new connection."""
    return DelayPacer() if congestion is Congestion.DELAY else Pacer()
