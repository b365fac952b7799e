"""What a Redis server reports about itself: its data set, its epoch, and whether it may evict keys."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames


async def ask_data_set(link: RedisConnection, keys: KeyNames) -> str:
    """The data set's name; created only when there is none, because a full Redis and a replica can be read as well.

    Raises:
        Unavailable: it cannot be read.
    """
    name = await link.ask("GET", keys.data_set)
    while name is None:
        await link.ask("SET", keys.data_set, uuid4().hex, "NX")
        name = await link.ask("GET", keys.data_set)
    text: str = name.decode()
    return text


async def ask_epoch(link: RedisConnection, keys: KeyNames) -> str:
    """The name of the present master's epoch, the same for every node.

    A restarted server, or one that follows another one, may lack what was acknowledged last. Where the epoch is unknown
    (Redis is a replica, does not let this user read it, or is unreachable), a name that no other node has.
    """
    try:
        epoch: bytes | None = await link.run(scripts.EPOCH, [keys.epoch], ())
    except Unavailable:
        epoch = None
    return uuid4().hex if epoch is None else epoch.decode()


EVICTION_CHECK_INTERVAL = 10.0
"""Seconds between checks: the policy may change while Redis runs."""

_POLICY = re.compile(rb"^maxmemory_policy:(\S+)", re.MULTILINE)
_NO_EVICTION = "noeviction"


class EvictionWatch(TimerService):
    """Checks the eviction policy.

    Attributes:
        problem: what is wrong with it, for people; empty when nothing is, or it is unknown.
    """

    _log = Logger()

    def __init__(self, link: RedisConnection, reactor: Any) -> None:
        super().__init__(EVICTION_CHECK_INTERVAL, self._look)
        self.clock = reactor
        self._link = link
        self.problem = ""

    def _look(self) -> Deferred[None]:
        looked = Deferred.fromCoroutine(self.look())
        # An error here is a bug; the checks must go on.
        return looked.addErrback(lambda failure: self._log.failure("the eviction policy is not known", failure))

    async def look(self) -> None:
        """Checks once. Without an answer, the last result stays."""
        try:
            answer: bytes = await self._link.ask("INFO", "memory")
        except Unavailable:
            return
        found = _POLICY.search(answer)
        policy = _NO_EVICTION if found is None else found[1].decode()
        problem = (
            "" if policy == _NO_EVICTION else f"Redis has the maxmemory-policy {policy}: it must be {_NO_EVICTION}"
        )
        if problem and problem != self.problem:
            self._log.warn(
                "{problem}. When memory is out, Redis evicts sessions that are being watched.", problem=problem
            )
        self.problem = problem
