"""Redis' own clock, which dates what all nodes store in it.

Nodes' clocks differ, and are set. Redis' clock is the same for all of them, and its streams, leases and expiries use it
in any case. A node measures how far it is ahead of the node's own steady clock, so the node's wall clock does not
matter.
"""

from __future__ import annotations

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.clocks import IClock, Moment, moment
from craftnet.errors import Unavailable
from craftnet.providers.clock_offset import ClockOffset
from craftnet.providers.redis.connection import RedisConnection

MEASURE_INTERVAL = 1.0
"""Seconds between measurements."""


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
