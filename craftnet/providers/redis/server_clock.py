"""Redis' own clock, by which all nodes date what they keep in it.

Nodes' clocks differ, and are set. Redis' clock is one for all of them, and its streams, leases and expiries go by it in
any case. A node measures how far it is ahead of the node's own steady clock; what the node's wall clock shows does not
matter then.
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
"""Seconds by which Redis' clock may seem to be off, beyond what a measurement leaves open, before that is believed."""

CLOCK_DRIFT = 1e-4
"""Seconds by which two clocks drift apart in a second, at most."""

PARTS_OF_A_SECOND = 1024
"""Parts of a second that a difference between clocks is rounded to: so adding and subtracting it again is exact."""


class ClockOffset:
    """How far another clock is ahead of ours. Pure; times are seconds.

    Arguments:
        ahead: what is to be believed until a measurement contradicts it.

    Attributes:
        ahead: seconds, in whole `PARTS_OF_A_SECOND` parts.
    """

    def __init__(self, ahead: float) -> None:
        self.ahead = rounded(ahead)
        self._uncertainty = inf
        self._at = 0.0

    def take(self, shown: float, asked: float, answered: float) -> None:
        """The other clock showed `shown` when ours was between `asked` and `answered`.

        The difference measured before stays unless this one contradicts it: what is read twice is dated the same.
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
    """In whole `PARTS_OF_A_SECOND` parts."""
    return round(seconds * PARTS_OF_A_SECOND) / PARTS_OF_A_SECOND


class ServerClock(TimerService):
    """Knows what Redis' clock shows; until it was asked, that is taken to be what ours does.

    Arguments:
        link: any connection that answers at once.

    Attributes:
        answered: whether Redis was asked with success yet.
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
        """Ask Redis once. Without an answer, the difference stays as it was."""
        asked = self._clock.seconds()
        try:
            seconds, microseconds = await self._link.ask("TIME")
        except Unavailable:
            return  # health says so.
        self.answered = True
        self._measured.take(int(seconds) + int(microseconds) / 1e6, asked, self._clock.seconds())

    def _turn(self) -> Deferred[None]:
        measured = Deferred.fromCoroutine(self.measure())
        # An error here is a bug of ours; the measurements must not stop for it.
        return measured.addErrback(lambda failure: self._log.failure("Redis' clock could not be read", failure))
