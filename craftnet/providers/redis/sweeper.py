"""Forgets what is due, and trims the streams by age. Every node does; Redis lets the first one do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.keys import PARTITIONS, Keys, partition_of
from craftnet.providers.redis.link import Link
from craftnet.providers.redis.settings import RedisSettings

INTERVAL = 1.0
"""Seconds between sweeps."""

MOST = 1000
"""Things of one kind that a sweep forgets at most."""

AGE = 900.0
"""Seconds after which a change is trimmed; a node that was away for longer compares states instead."""


class Sweeper(TimerService):
    """Sweeps.

    Arguments:
        subjects: the names of the kinds.
    """

    def __init__(self, subjects: Sequence[str], keys: Keys, link: Link, settings: RedisSettings, clock: Any) -> None:
        super().__init__(INTERVAL, self._sweep)
        self.clock = self._clock = clock
        self._subjects = subjects
        self._keys = keys
        self._link = link
        self._settings = settings
        self._turns = 0

    def _sweep(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.sweep())

    async def sweep(self) -> None:
        """Once. Without Redis nothing is forgotten."""
        now = self._clock.seconds()
        try:
            for subject in self._subjects:
                await self._forget(subject, now)
            # One partition a turn is often enough.
            self._turns += 1
            oldest = max(0, int((now - AGE) * 1000))
            await self._link.ask("XTRIM", self._keys.changes(self._turns % PARTITIONS), "MINID", "~", oldest)
        except Unavailable:
            pass  # health says so.

    async def _forget(self, subject: str, now: float) -> None:
        due = self._keys.due(subject)
        for text in await self._link.ask("ZRANGEBYSCORE", due, "-inf", f"{now:.3f}", "LIMIT", 0, MOST):
            key = UUID(text.decode())
            names = [
                self._keys.state(subject, key),
                self._keys.floor(subject),
                self._keys.waiters,
                due,
                self._keys.changes(partition_of(key)),
                self._keys.due("materials"),
                self._keys.recent(subject, key),
            ]
            arguments = (str(key), f"{now:.3f}", subject, self._settings.backlog)
            await self._link.run(scripts.FORGET, names, arguments)
