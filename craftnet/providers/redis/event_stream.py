"""Consumes the events that the authority adds to a stream. One node at a time does, so that they stay in order.

A node consumes them under a lease. When it dies, the lease expires, and the next node starts with what the dead one had
taken and not finished. An event that is applied twice is a duplicate the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.clocks import Moment, moment
from craftnet.contract.envelopes import decode
from craftnet.contract.events import Event, EventOutcome, EventVerdict, event_origin, rejected
from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.sources import Sources
from craftnet.runtime.deferreds import RestartedTask

GROUP = "craftnet"
"""The consumer group."""

CONSUMER = "taker"
"""Its only consumer, whichever node that is: Redis never forgets consumers, and the lease lets only one node read."""

FIELD = b"event"
"""The field of an entry with the event as JSON."""

LEASE_SECONDS = 5.0
"""Seconds of a node's lease."""

BLOCK_SECONDS = 1.0
"""Seconds for which Redis holds a read; then the lease is renewed."""

EVENTS_PER_READ = 500
"""Events that one read returns."""

RETRY_DELAY = 0.5
"""Seconds until a node without the lease asks for it again."""


class EventStreamConsumer(Service):
    """One node's side.

    Arguments:
        blocking: a connection that nothing else uses.
        asking: the connection for everything else.
        sources: apply the events.

    Attributes:
        counted: called with the outcomes.
        tracer: traces some of the events; None: none.
    """

    _log = Logger()

    def __init__(
        self, blocking: RedisConnection, asking: RedisConnection, keys: KeyNames, sources: Sources, reactor: Any
    ) -> None:
        self._blocking = blocking
        self._asking = asking
        self._keys = keys
        self._sources = sources
        self._reactor = reactor
        self.tracer: Any = None
        self.counted: Callable[[Sequence[EventOutcome]], None] = lambda outcomes: None
        self._name = uuid4().hex
        # The health checks show that Redis is unavailable; events that were taken are still pending then.
        self._taking = RestartedTask(
            self._take_on, "taking events from Redis", RETRY_DELAY, reactor, expected=(Unavailable,)
        )

    def startService(self) -> None:
        """Starts consuming events, or waiting for the lease."""
        super().startService()
        self._taking.start()

    def stopService(self) -> None:
        """Stops, and lets another node consume."""
        super().stopService()
        self._taking.stop()
        released = Deferred.fromCoroutine(self._asking.run(scripts.RELEASE, [self._keys.lease], [self._name]))
        released.addErrback(lambda failure: failure.trap(Unavailable) and None)  # it expires by itself.

    async def _take_on(self) -> None:
        await self._blocking.connected()
        if await self._leased():
            await self._join()
            await self._finish()
            while await self._leased():
                await self._take()

    async def _leased(self) -> bool:
        """Takes or renews the lease; returns whether this node has it."""
        return bool(await self._asking.run(scripts.LEASE, [self._keys.lease], [self._name, int(LEASE_SECONDS * 1000)]))

    async def _join(self) -> None:
        """Creates the stream and the group, unless they exist."""
        await self._asking.run(scripts.JOIN, [self._keys.events], [GROUP])

    async def _finish(self) -> None:
        """Applies what was taken, by this node or a dead one, and not finished."""
        position = b"0-0"
        while True:
            command = ("XAUTOCLAIM", self._keys.events, GROUP, CONSUMER, 0, position, "COUNT", EVENTS_PER_READ)
            position, entries, *_ = await self._blocking.ask(*command)
            await self._apply(entries)
            if position == b"0-0" or not await self._leased():
                return

    async def _take(self) -> None:
        answer = await self._blocking.ask(
            *("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", EVENTS_PER_READ, "BLOCK", int(BLOCK_SECONDS * 1000)),
            *("STREAMS", self._keys.events, ">"),
        )
        for _, entries in answer or ():
            await self._apply(entries)

    async def _apply(self, found: Sequence[Sequence[Any] | None]) -> None:
        entries = [entry for entry in found if entry]  # Redis 6.2 returns nil for an entry that was deleted meanwhile.
        now = moment(self._reactor)
        decoded = [_decoded(fields or (), now) for _, fields in entries]
        events = [one for one in decoded if isinstance(one, Event)]
        malformed = [one for one in decoded if isinstance(one, EventOutcome)]
        traced = None if self.tracer is None else self.tracer.events(events, None)
        applied: list[EventOutcome] = []
        try:
            applied = await self._sources.apply(events if traced is None else traced.events)
        finally:
            if traced is not None:
                traced.finish(applied)
        self.counted([*malformed, *applied])
        reasons = [outcome.reason for outcome in malformed]
        reasons += [
            f"{outcome.reason} ({event_origin(event)})"
            for event, outcome in zip(events, applied, strict=True)
            if outcome.verdict is EventVerdict.REJECTED
        ]
        if reasons:
            self._log.warn("{count} events from Redis were rejected: {reason}", count=len(reasons), reason=reasons[0])
        if entries:
            await self._asking.run(scripts.DONE, [self._keys.events], [GROUP, *(name for name, _ in entries)])


def _decoded(fields: Sequence[bytes], now: Moment) -> Event | EventOutcome:
    event = dict(zip(fields[::2], fields[1::2], strict=False)).get(FIELD)
    return rejected("the entry has no field 'event'") if event is None else decode(event, now)
