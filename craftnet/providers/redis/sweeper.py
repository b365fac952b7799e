"""Removes what is due, and trims the streams by age. Every node tries; Redis lets the first one do it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.connection import RedisConnection, Unreadable
from craftnet.providers.redis.key_names import PARTITIONS, KeyNames, partition_of
from craftnet.providers.redis.server_clock import ServerClock
from craftnet.providers.redis.settings import RedisSettings

SWEEP_INTERVAL = 1.0
"""Seconds between sweeps."""

MAX_PER_SWEEP = 1000
"""Things of one kind that are read at once."""

MAX_CHANGE_AGE = 900.0
"""Seconds after which a change is trimmed; a node that was away for longer compares states instead."""


class Sweeper(TimerService):
    """Sweeps at an interval.

    Arguments:
        subjects: the names of the kinds.
        time: Redis' clock, which decides what is due: no node's clock can remove things too early.
    """

    _log = Logger()

    def __init__(
        self, subjects: Sequence[str], keys: KeyNames, link: RedisConnection, settings: RedisSettings, time: ServerClock
    ) -> None:
        super().__init__(SWEEP_INTERVAL, self._sweep)
        self.clock = time.clock
        self._time = time
        self._subjects = subjects
        self._keys = keys
        self._link = link
        self._settings = settings
        self._turns = 0

    def _sweep(self) -> Deferred[None]:
        swept = Deferred.fromCoroutine(self.sweep())
        # An error here is a bug; the sweeps must go on.
        return swept.addErrback(lambda failure: self._log.failure("a sweep failed", failure))

    async def sweep(self) -> None:
        """Sweeps once. Without Redis nothing is removed."""
        now = self._time.now().wall
        try:
            for subject in self._subjects:
                with suppress(Unreadable):  # already logged.
                    while await self._forget(subject, now) == MAX_PER_SWEEP and self.running:
                        pass
            # One partition a turn is often enough.
            self._turns += 1
            oldest = max(0, int((now - MAX_CHANGE_AGE) * 1000))
            await self._link.ask("XTRIM", self._keys.changes(self._turns % PARTITIONS), "MINID", "~", oldest)
        except Unavailable:
            pass  # shown by the health checks.

    async def _forget(self, subject: str, now: float) -> int:
        """Removes what is due, `MAX_PER_SWEEP` at most; returns the number."""
        due = self._keys.due(subject)
        found = await self._link.ask("ZRANGEBYSCORE", due, "-inf", f"{now:.3f}", "LIMIT", 0, MAX_PER_SWEEP)
        for text in found:
            try:
                key = UUID(text.decode())
            except ValueError:
                self._log.error("an id in Redis is not ours: {id}", id=repr(text))
                await self._link.ask("ZREM", due, text)
                continue
            names = [
                self._keys.state(subject, key),
                self._keys.floor(subject),
                self._keys.waiters,
                due,
                self._keys.changes(partition_of(key)),
                self._keys.due("materials"),
                self._keys.recent(subject, key),
                self._keys.numbers,
            ]
            arguments = (str(key), f"{now:.3f}", subject, self._settings.backlog)
            await self._link.run(scripts.FORGET, names, arguments)
        return len(found)
