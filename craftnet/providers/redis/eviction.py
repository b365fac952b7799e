"""Whether Redis may throw away what is kept in it.

`INFO` says it, which works where `CONFIG` is forbidden, as managed services do it.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.errors import Unavailable
from craftnet.providers.redis.link import Link

INTERVAL = 10.0
"""Seconds between looks: the policy may be changed while Redis runs."""

_POLICY = re.compile(rb"^maxmemory_policy:(\S+)", re.MULTILINE)
_HARMLESS = "noeviction"


class EvictionWatch(TimerService):
    """Looks at the eviction policy.

    Attributes:
        problem: what is wrong with it, for people; empty when nothing is, or nobody says.
    """

    _log = Logger()

    def __init__(self, link: Link, reactor: Any) -> None:
        super().__init__(INTERVAL, self._look)
        self.clock = reactor
        self._link = link
        self.problem = ""

    def _look(self) -> Deferred[None]:
        looked = Deferred.fromCoroutine(self.look())
        # An error here is a bug of ours; the looks must not stop for it.
        return looked.addErrback(lambda failure: self._log.failure("the eviction policy is not known", failure))

    async def look(self) -> None:
        """Once. Without an answer, what was known before holds."""
        try:
            answer: bytes = await self._link.ask("INFO", "memory")
        except Unavailable:
            return
        found = _POLICY.search(answer)
        policy = _HARMLESS if found is None else found[1].decode()
        problem = "" if policy == _HARMLESS else f"Redis has the maxmemory-policy {policy}: it must be {_HARMLESS}"
        if problem and problem != self.problem:
            self._log.warn(
                "{problem}. When memory is out, it throws away sessions that are being watched.", problem=problem
            )
        self.problem = problem
