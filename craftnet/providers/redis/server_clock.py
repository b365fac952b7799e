"""Redis' own clock, which dates what all nodes store in it.

Nodes' clocks differ, and are set. Redis' clock is the same for all of them, and its streams, leases and expiries use it
in any case. A node measures how far it is ahead of the node's own steady clock, so the node's wall clock does not
matter.
"""

from __future__ import annotations

from math import inf

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.clocks import IClock, Moment, moment
from craftnet.errors import Unavailable
from craftnet.providers.redis.connection import RedisConnection

MEASURE_INTERVAL = 1.0
"""Seconds between measurements."""

OFFSET_TOLERANCE = 0.001
"""Seconds by which Redis' clock may seem to be off, beyond the uncertainty of a measurement, before it is believed."""

CLOCK_DRIFT = 1e-4
"""Maximum seconds by which two clocks drift apart in a second."""

PARTS_OF_A_SECOND = 1024
"""Parts of a second to which a difference between clocks is rounded, so that adding and subtracting it is exact."""


class ClockOffset:
    """How far another clock is ahead of ours. Pure; times are seconds.

    Arguments:
        ahead: the assumption until a measurement contradicts it.

    Attributes:
        ahead: seconds, in whole `PARTS_OF_A_SECOND` parts.
    """

    def __init__(self, ahead: float) -> None:
        self.ahead = rounded(ahead)
        self._uncertainty = inf
        self._at = 0.0

    def take(self, shown: float, asked: float, answered: float) -> None:
        """Records that the other clock showed `shown` when ours was between `asked` and `answered`.

        The previous difference stays unless this one contradicts it, so that what is read twice has the same date.
        """
        sample, uncertainty = shown - (asked + answered) / 2, (answered - asked) / 2
        self._uncertainty += CLOCK_DRIFT * (answered - self._at)
        self._at = answered
        off = abs(sample - self.ahead)
        better = uncertainty <= self._uncertainty
        if off > uncertainty + OFFSET_TOLERANCE + (0.0 if better else self._uncertainty):
            self.ahead, self._uncertainty = rounded(sample), uncertainty
        elif better:
            self._uncertainty = min(self._uncertainty, off + uncertainty)


def rounded(seconds: float) -> float:
    """Rounds to whole `PARTS_OF_A_SECOND` parts."""
    return round(seconds * PARTS_OF_A_SECOND) / PARTS_OF_A_SECOND


class ServerClock(TimerService):
    """Knows what Redis' clock shows; before the first answer, the same as ours.

    Arguments:
        link: any connection that answers at once.

    Attributes:
        answered: whether Redis has answered yet.
    """

    _log = Logger()

    def __init__(self, link: RedisConnection, clock: IClock) -> None:
        super().__init__(MEASURE_INTERVAL, self._turn)
        self.clock = self._clock = clock
        self._link = link
        self._measured = ClockOffset(moment(clock).ahead)
        self.answered = False

    def now(self) -> Moment:
        """This moment on the steady clock of this process, and on Redis' clock."""
        steady = self._clock.seconds()
        return Moment(steady, steady + self.ahead)

    @property
    def ahead(self) -> float:
        """Seconds by which Redis' clock is ahead of the steady one."""
        return self._measured.ahead

    async def measure(self) -> None:
        """Asks Redis once. Without an answer, the difference stays as it was."""
        asked = self._clock.seconds()
        try:
            seconds, microseconds = await self._link.ask("TIME")
        except Unavailable:
            return  # shown by the health checks.
        self.answered = True
        self._measured.take(int(seconds) + int(microseconds) / 1e6, asked, self._clock.seconds())

    def _turn(self) -> Deferred[None]:
        measured = Deferred.fromCoroutine(self.measure())
        # An error here is a bug; the measurements must go on.
        return measured.addErrback(lambda failure: self._log.failure("Redis' clock could not be read", failure))
