"""Asks the sentinels now and then whether the master is another one, because the old one may not know it yet.

After a fail-over that somebody ordered, the old master lives on for some ten seconds, and loses all that it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from craftnet.addresses import HostPort
from craftnet.errors import Unavailable
from craftnet.providers.redis.link import Link
from craftnet.providers.redis.sentinels import SentinelEndpoint

INTERVAL = 1.0
"""Seconds between looks."""


class Lookout(Service):
    """Has connections made anew when the master is another one.

    Arguments:
        links: all that lead to the master.
    """

    _log = Logger()

    def __init__(self, sentinels: SentinelEndpoint, links: Sequence[Link], reactor: Any) -> None:
        self._sentinels = sentinels
        self._links = links
        self._master: HostPort | None = None
        self._asked: Deferred[None] | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._looking.start(INTERVAL)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        self._looking.stop()
        if self._asked is not None:
            self._asked.cancel()

    def _look(self) -> Deferred[None]:
        self._asked = Deferred.fromCoroutine(self._compare())
        return self._asked

    async def _compare(self) -> None:
        try:
            master = await self._sentinels.master()
        except (CancelledError, Unavailable):
            return  # it is over, or whoever needs to connect says so.
        if self._master not in (None, master):
            self._log.warn(
                "The sentinels name another master: {master}, before {former}. All connections are made anew.",
                master=str(master),
                former=str(self._master),
            )
            for link in self._links:
                link.renew()
        self._master = master
