"""Nodes on a real Redis, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from craftnet.clocks import IClock, steady
from craftnet.contract.events import Event, EventOutcome
from craftnet.errors import Unavailable
from craftnet.interfaces import IRevocationListener
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.key_names import partition_of
from craftnet.providers.redis.settings import RedisSettings
from craftnet.tests.contracts.source import MaterialRecorder
from craftnet.tests.faults.relay import Relay
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start


async def looked(relay: Relay, number: int = 3) -> None:
    """Wait until a node behind the relay, to which nothing else happens, has looked again whether it keeps up."""
    asking = b"\r\ntest:numbers\r\n"
    before = relay.said(asking)
    await until(lambda: relay.said(asking) >= before + number)


def same_partition(key: UUID) -> UUID:
    """Another id, of the same partition."""
    return next(other for other in iter(uuid4, None) if partition_of(other) == partition_of(key))


class RedisTestCase(TestCase):
    """A separate server for each test: it starts in hundredths of a second."""

    timeout = 60
    options: Sequence[str] = ()
    durable = False
    prefix = "test"

    def setUp(self) -> None:
        """Start."""
        self.server = RedisServer(*self.options, durable=self.durable)
        self.addCleanup(self.server.stop)
        self.server.start()

    def backend(
        self,
        password: str | None = None,
        listener: IRevocationListener | None = None,
        clock: IClock | None = None,
        sweeps: bool = True,
        **settings: Any,
    ) -> RedisBackend:
        """A running node.

        Arguments:
            clock: also a reactor; the test's own reactor if there is none.
            sweeps: whether it sweeps at intervals; otherwise it sweeps at the start and when the test says so.
            settings: of `RedisSettings`.
        """
        wanted = RedisSettings(**{"port": self.server.port, "prefix": self.prefix, **settings})
        node = RedisBackend(clock or steady(reactor), wanted, password)
        if listener is not None:
            node.revocations.follow(listener)
        if not sweeps:
            node.sweeper.step = 3600.0  # beyond the end of the test.
        node.service.startService()
        self.addCleanup(self.stop, node)
        return node

    def relayed(self) -> tuple[Relay, int]:
        """A relay to the server, and the port where it listens."""
        relay = Relay(self.server.port)
        port = relay.start()
        self.addCleanup(relay.stop)
        return relay, port

    def stop(self, node: RedisBackend) -> Deferred[None] | None:
        """Stop it, unless the test did."""
        stopped: Deferred[None] | None = node.service.stopService() if node.service.running else None
        return stopped

    async def heard(self, node: RedisBackend) -> None:
        """Wait until the node's listeners heard everything that was applied: markers come after it in the streams."""
        for key in (SESSION, OTHER_SESSION, PLAYER, OTHER_PLAYER):
            marker, listener = same_partition(key), MaterialRecorder()
            await node.materials.watch(marker, listener)
            await node.materials.apply([event(start(marker))])
            await until(partial(bool, listener.heard))
            node.materials.unwatch(marker, listener)


async def insist_on(node: RedisBackend, events: list[Event]) -> list[EventOutcome]:
    """As the authority does: the same again until it is taken."""
    while True:
        try:
            return await node.sessions.apply(events)
        except Unavailable:
            await deferLater(reactor, 0.02)
