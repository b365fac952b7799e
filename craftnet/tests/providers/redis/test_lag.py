"""A node whose reading of the changes stands still, while everything else that it asks Redis is answered."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from craftnet.access.authorization import Authorization
from craftnet.access.principal import Principal
from craftnet.clocks import steady
from craftnet.contract.events import Event
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import HealthStatus, Status
from craftnet.contract.routes import CraftingTarget, QueueTarget
from craftnet.errors import Unavailable
from craftnet.feeds.hub import Hub
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.routes.udp_sessions import ConnectTarget, UdpConnect
from craftnet.limits.token_bucket import RateLimit
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.redis import backend, change_reader, lag
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import SessionRecorder, complete, progress
from craftnet.tests.faults.relay import Stall
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start

anything: Any = object()
"""Unused."""

READING = Stall(sending=b"XREAD", above=100)
"""The answers to XREAD that hold a change."""


class LagTestCase(RedisTestCase):
    """Two nodes; what one of them reads can be stalled."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Both have a watcher of a session."""
        super().setUp()
        for module in (backend, change_reader):
            self.patch(module, "BLOCK_SECONDS", 0.5)
        self.patch(change_reader, "CHECK_INTERVAL", 0.1)
        self.patch(lag, "CATCH_UP_TIMEOUT", 0.3)
        self.line, port = self.relayed()
        self.sound, self.behind = self.backend(), self.backend(port=port, timeout=1.0)
        await self.happen(event(start()))
        self.updated = SessionRecorder()
        await self.behind.sessions.watch(SESSION, self.updated)

    async def happen(self, *events: Event) -> None:
        """The authority posts to the node that receives everything."""
        for outcome in await Sources.of(self.sound).apply(events):
            self.assertEqual(outcome.reason, "")

    def read(self, client: Returning) -> Returning:
        """What it received until now."""
        client.read()
        return client

    def check(self, node: RedisBackend) -> HealthStatus:
        """How the node is, as far as changes are concerned."""
        return node.health_checks["changes"]().status


class ReturnTests(LagTestCase):
    """Players who come from a node that knew more."""

    async def test_before_it_is_noticed(self) -> None:
        """No watcher receives less than it knows: it is refused until the node has caught up."""
        hubs = [Hub(Sources.of(node), steady(reactor), Metrics()) for node in (self.sound, self.behind)]
        here, there = (Returning(hub) for hub in hubs)
        for client in (here, there):
            await client.come()
            client.read()
        self.line.hold(READING)
        await self.happen(event(complete(), NOW + 1))
        await self.happen(event(short(1), NOW + 1))
        await until(lambda: self.read(here).status is Status.COMPLETED)
        here.go()
        here.hub = hubs[1]
        for knowing in (here.position, None):
            here.position, position = knowing, here.position
            await self.assertFailure(here.come(), Unavailable)
            here.position = position
        self.line.release()
        await until(lambda: not self.behind.sessions.stalled)
        await here.come()
        here.read()
        self.assertEqual((here.recoveries, here.status, here.shortages), ([True], Status.COMPLETED, [1]))
        there.read()
        self.assertEqual((there.status, there.shortages), (Status.COMPLETED, [1]))

    async def test_a_node_that_keeps_up(self) -> None:
        """A watcher that received something at one node receives no less at the other, however fast it changes."""
        hubs = [Hub(Sources.of(node), steady(reactor), Metrics()) for node in (self.sound, self.behind)]
        client, other = Returning(hubs[0]), Returning(hubs[1])
        await client.come()
        await other.come()
        for number in range(1, 40):
            await self.happen(event(short(number), NOW + number))
            await until(lambda number=number: self.read(client).shortages[-1:] == [number])  # type: ignore[misc]
            client.go()
            client.hub = hubs[number % 2]
            await client.come()
            client.read()
        self.assertEqual((client.shortages, set(client.recoveries)), ([*range(1, 40)], {True}))


class StallTests(LagTestCase):
    """The node's own reports."""

    async def stalled(self) -> list[str]:
        """Stalls it, and waits until it has noticed; returns its log."""
        with capturedLogs() as logged:
            self.line.hold(READING)
            await self.happen(event(progress(5.0), NOW + 1))
            await until(lambda: self.behind.sessions.stalled)
        return [formatEvent(one) for one in logged]

    async def test_a_change_that_is_not_heard(self) -> None:
        self.assertIs(self.check(self.behind), HealthStatus.OK)
        lines = await self.stalled()
        self.assertEqual(sum("changes in Redis are not received" in line for line in lines), 1)
        self.assertIs(self.check(self.behind), HealthStatus.CRITICAL)
        self.assertIs(self.check(self.sound), HealthStatus.OK)
        self.assertRaises(Unavailable, Sources.of(self.behind).check_hearing)
        # It refuses watchers at once, and answers everything else.
        await self.assertFailure(self.behind.sessions.caught_up(SESSION), Unavailable)
        await self.behind.sessions.apply([event(progress(6.0), NOW + 2)])
        self.line.release()
        await until(lambda: not self.behind.sessions.stalled)
        self.assertIs(self.check(self.behind), HealthStatus.OK)
        await until(lambda: self.updated.versions == [2, 3])

    async def test_the_connection_is_replaced(self) -> None:
        """Before the question that stands still has taken as long as an answer may."""
        line, port = self.relayed()
        node = self.backend(port=port, timeout=self.timeout)
        await node.sessions.watch(SESSION, SessionRecorder())
        line.hold(READING)
        await self.happen(event(progress(50.0), NOW + 1))
        before = line.accepted
        await until(lambda: line.accepted > before)

    async def test_newcomers(self) -> None:
        """New watchers, over WebSocket or UDP, are refused before they are admitted."""
        sources, clock, player = Sources.of(self.behind), steady(reactor), Principal(PLAYER, frozenset(), 1e12)
        admission = Authorization(anything, sources.sessions, sources.queues)
        subscriptions = Subscriptions(admission, Hub(sources, clock, Metrics()), anything)
        await subscriptions.subscribe(CraftingTarget(SESSION, PLAYER), player)
        await self.stalled()
        connect = UdpConnect(admission, sources, anything, clock.seconds, RateLimit(0, "unlimited"))
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0")
        for asking in (
            subscriptions.subscribe(CraftingTarget(SESSION, PLAYER), player),
            subscriptions.subscribe(QueueTarget(PLAYER), player),
            connect.decide(anything, player, ConnectTarget(SESSION, request)),
        ):
            error: Any = await self.assertFailure(Deferred.fromCoroutine(cast(Any, asking)), Unavailable)
            self.assertIn("changes", error.message)

    async def test_it_stays_so(self) -> None:
        """Another connection that is stalled, too, mends nothing."""
        await self.stalled()
        generation = self.behind.follower.connections()[0]
        seen = set()
        while self.behind.follower.connections()[0] < generation + 3:
            seen.add(self.check(self.behind))
            await deferLater(reactor, 0.01)
        self.assertEqual(seen, {HealthStatus.CRITICAL})
        self.line.release()
        await until(lambda: not self.behind.sessions.stalled)

    async def test_nothing_happens_and_nothing_is_answered(self) -> None:
        """Redis also answers a reader without changes."""
        with capturedLogs() as logged:
            self.line.hold(Stall(sending=b"XREAD"))
            await until(lambda: self.behind.sessions.stalled)
        text = " ".join(formatEvent(one) for one in logged)
        self.assertIn("does not answer this node's XREAD", text)
        self.assertIn("did not answer within", text)
        self.assertIs(self.check(self.behind), HealthStatus.CRITICAL)
        self.line.release()
        await until(lambda: not self.behind.sessions.stalled)

    async def test_a_pause(self) -> None:
        """A short lag is not a stall."""
        self.line.hold(READING)
        await self.happen(event(progress(5.0), NOW + 1))
        waiting = self.behind.sessions.caught_up(SESSION)
        await deferLater(reactor, 0.15)
        self.assertFalse(waiting.called)
        self.line.release()
        await waiting
        self.assertEqual((self.updated.versions, self.behind.sessions.stalled), ([2], ""))
