"""The Redis provider when its server is gone, slow, full, empty, or refuses it."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.portforward import ProxyFactory
from twisted.python.filepath import FilePath

from craftnet.clocks import steady
from craftnet.contract.messages import HealthStatus
from craftnet.errors import Unavailable
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.event_writer import CONCURRENT_SCRIPTS
from craftnet.providers.redis.settings import RedisSettings
from craftnet.tests.contracts.source import (
    ACCEPTED,
    REJECTED,
    MaterialRecorder,
    QueueRecorder,
    SessionRecorder,
    complete,
    progress,
    quantity,
    queued,
)
from craftnet.tests.faults.relay import Stall
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase, insist_on
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start

ROOM = 10
"""Clients that a crowded Redis takes."""


class GoneTests(RedisTestCase):
    durable = True

    async def unavailable(self, node: RedisBackend) -> None:
        """Nothing answers."""
        questions: list[Deferred[Any]] = [
            node.sessions.get(SESSION),
            node.sessions.count(),
            node.sessions.apply([event(start())]),
            node.sessions.watch(SESSION, SessionRecorder()),
            node.queues.find(SESSION),
        ]
        for asked in questions:
            await self.assertFailure(asked, Unavailable)

    async def test_at_the_start(self) -> None:
        self.server.kill()
        with capturedLogs() as logged:
            node = self.backend()
            await self.unavailable(node)
            await deferLater(reactor, 0.3)
        lines = [formatEvent(one) for one in logged]
        # One line for each of the four connections, whatever the number of attempts.
        self.assertEqual(len(lines), 4)
        self.assertIn(f"127.0.0.1:{self.server.port} is unreachable", lines[0])
        self.assertIn("refused", lines[0])
        self.server.start()
        self.assertEqual([outcome.verdict for outcome in await insist_on(node, [event(start())])], [ACCEPTED])

    async def test_while_running(self) -> None:
        """Who watched before hears everything after, exactly: the streams still have it."""
        node, other = self.backend(), self.backend()
        heard, materials, queues = SessionRecorder(), MaterialRecorder(), QueueRecorder()
        await insist_on(node, [event(start())])
        await node.sessions.watch(SESSION, heard)
        await node.materials.watch(SESSION, materials)
        await node.queues.watch(PLAYER, queues)
        self.server.kill()
        await self.unavailable(node)
        self.server.start()
        await insist_on(other, [event(progress(50.0), NOW + 30), event(complete(), NOW + 60)])
        await other.materials.apply([event(start()), event(quantity(3), NOW + 1)])
        await other.queues.apply([event(queued(2))])
        await until(lambda: heard.versions == [2, 3] and queues.heard and len(materials.heard) == 2)

    async def test_the_same_body_again(self) -> None:
        """An event applied before its answer was lost is a duplicate then."""
        node = self.backend()
        events = [event(start()), *(event(progress(float(number)), NOW + number) for number in range(1, 40))]
        posted = [node.sessions.apply([one]) for one in events]
        self.server.kill()
        for answer in posted:
            await self.assertFailure(answer, Unavailable)
        self.server.start()
        outcomes = await insist_on(node, events)
        self.assertNotIn(REJECTED, [outcome.verdict for outcome in outcomes])
        state = await node.sessions.get(SESSION)
        assert state is not None
        self.assertEqual((state.version, state.progress.percent), (40, 39.0))


class EmptyTests(RedisTestCase):
    async def test_restarted_empty(self) -> None:
        """Lost things end; what starts again is delivered, although its versions restart."""
        node = self.backend()
        heard, queues = SessionRecorder(), QueueRecorder()
        await insist_on(node, [event(start()), event(progress(1.0), NOW + 1), event(progress(2.0), NOW + 2)])
        await node.queues.apply([event(queued(2)), event(queued(1), NOW + 1)])
        await node.sessions.watch(SESSION, heard)
        await node.queues.watch(PLAYER, queues)
        epoch = node.epoch
        self.server.kill()
        self.server.start()
        await until(lambda: heard.heard and queues.heard)
        self.assertEqual(heard.heard, [None])
        self.assertEqual([(change.state.version, change.waiting) for change in queues.heard], [(0, False)])
        await insist_on(node, [event(start(), NOW + 3)])
        await until(lambda: heard.versions == [1])
        await until(lambda: node.epoch not in (None, epoch))


class SlowTests(RedisTestCase):
    async def test_many_posts(self) -> None:
        """Those that have to wait do so here, and not in Redis' queue, where the time runs until it counts as slow."""
        relay, port = self.relayed()
        node = self.backend(port=port)
        await insist_on(node, [event(start())])
        relay.hold(Stall())

        sessions = b"\r\ntest:session:"
        before = relay.said(sessions)
        posts = [
            node.sessions.apply([event(start(uuid4())), event(start(uuid4()))]) for _ in range(2 * CONCURRENT_SCRIPTS)
        ]
        await until(lambda: relay.said(sessions) - before >= 2 * CONCURRENT_SCRIPTS)  # of two sessions each.
        await deferLater(reactor, 0.1)
        self.assertEqual(relay.said(sessions) - before, 2 * CONCURRENT_SCRIPTS)
        relay.release()
        for post in posts:
            self.assertEqual([outcome.verdict for outcome in await post], [ACCEPTED, ACCEPTED])

    async def test_no_answer(self) -> None:
        node = self.backend(timeout=0.3)
        heard = SessionRecorder()
        await insist_on(node, [event(start())])
        await node.sessions.watch(SESSION, heard)
        self.server.signal(signal.SIGSTOP)
        await self.assertFailure(node.sessions.get(SESSION), Unavailable)
        await self.assertFailure(node.sessions.apply([event(complete(), NOW + 1)]), Unavailable)
        self.server.signal(signal.SIGCONT)
        (outcome,) = await insist_on(node, [event(complete(), NOW + 2)])
        # The first attempt may have been applied after all; then this one comes after the end.
        self.assertIn(outcome.verdict, (ACCEPTED, REJECTED))
        await until(lambda: heard.versions == [2])


class FullTests(RedisTestCase):
    async def test_out_of_memory(self) -> None:
        """Nothing is half applied, and everything stored is readable."""
        node = self.backend()
        heard = SessionRecorder()
        await insist_on(node, [event(start())])
        await node.sessions.watch(SESSION, heard)
        self.server.command("CONFIG", "SET", "maxmemory", "1")
        finished = event(complete(), NOW + 1)
        with capturedLogs() as logged:
            for _ in range(3):
                error: Any = await self.assertFailure(node.sessions.apply([finished]), Unavailable)
                self.assertIn("memory", error.message)
        self.assertEqual(["OOM" in formatEvent(one) for one in logged], [True])
        late, late_heard = self.backend(), SessionRecorder()
        await late.sessions.watch(SESSION, late_heard)
        state = await node.sessions.get(SESSION)
        assert state is not None
        self.assertEqual(state.version, 1)
        self.server.command("CONFIG", "SET", "maxmemory", "0")
        self.assertEqual([outcome.verdict for outcome in await node.sessions.apply([finished])], [ACCEPTED])
        await until(lambda: heard.versions == late_heard.versions == [2])


class EvictionTests(RedisTestCase):
    """A Redis that may evict keys."""

    options = ("--maxmemory-policy", "allkeys-lru")

    async def test_warned_of(self) -> None:
        """At the start, once, and for as long as it is so."""
        with capturedLogs() as logged:
            node = self.backend()
            await until(lambda: node.health_checks["eviction"]().status is HealthStatus.DEGRADED)
            await node.eviction.look()
        self.assertEqual(sum("allkeys-lru" in formatEvent(one) for one in logged), 1)
        self.assertIn("must be noeviction", str(node.health_checks["eviction"]().message))
        self.server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await node.eviction.look()
        self.assertIs(node.health_checks["eviction"]().status, HealthStatus.OK)

    async def test_unknown_policy(self) -> None:
        """An unknown policy is no fault."""
        self.server.command("ACL", "SETUSER", "limited", "on", ">a-password-for-tests", "~*", "+@all", "-info")
        node = self.backend("a-password-for-tests", user="limited")
        await node.eviction.look()
        self.assertIs(node.health_checks["eviction"]().status, HealthStatus.OK)


class CrowdedTests(RedisTestCase):
    """A Redis that has as many clients as it takes."""

    options = ("--maxclients", str(ROOM))

    async def test_no_room(self) -> None:
        """The log says what to change."""
        with ExitStack() as stack, capturedLogs() as logged:
            for _ in range(ROOM):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", self.server.port)))
                connection.sendall(b"PING\r\n")
                connection.recv(100)
            await self.assertFailure(self.backend().sessions.count(), Unavailable)
        self.assertIn("maxclients", " ".join(formatEvent(one) for one in logged))


class ReplicaTests(RedisTestCase):
    async def test_read_only(self) -> None:
        """A master that became a replica accepts no events; the connection is replaced, by name, by the next master."""
        node = self.backend()
        await insist_on(node, [event(start())])
        self.server.command("REPLICAOF", "127.0.0.1", "1")
        await self.assertFailure(node.sessions.apply([event(complete(), NOW + 1)]), Unavailable)
        self.server.command("REPLICAOF", "NO", "ONE")
        self.assertEqual(
            [outcome.verdict for outcome in await insist_on(node, [event(complete(), NOW + 1)])], [ACCEPTED]
        )

    async def test_read_only_for_long(self) -> None:
        """Each link says so once, however many connections it makes meanwhile; and again when it comes again."""
        node = self.backend()
        link = node.asking
        for turn in range(2):
            await insist_on(node, [event(start(uuid4()))])
            with capturedLogs() as logged:
                self.server.command("REPLICAOF", "127.0.0.1", "1")
                most = link.generation + 4
                while link.generation < most:
                    await self.assertFailure(node.sessions.apply([event(start(uuid4()))]), Unavailable)
            lines = [line for one in logged if "READONLY" in (line := formatEvent(one))]
            self.assertTrue(1 <= len(lines) <= 2, (turn, lines))
            self.server.command("REPLICAOF", "NO", "ONE")
            await insist_on(node, [event(start(uuid4()))])
            before = link.generation
            link.renew()
            await until(partial(self.connected_since, link, before))

    def connected_since(self, link: RedisConnection, generation: int) -> bool:
        """Whether there is a newer connection."""
        return link.generation > generation


class FailOverTests(RedisTestCase):
    """A replica becomes the master, and the address leads there: what Sentinel and a proxy do together."""

    async def test_fail_over(self) -> None:
        replica = RedisServer("--replicaof", "127.0.0.1", str(self.server.port), "--repl-diskless-sync-delay", "0")
        self.addCleanup(replica.stop)
        replica.start()
        proxy = ProxyFactory("127.0.0.1", self.server.port)
        proxy.noisy = False
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(proxy)
        self.addCleanup(port.stopListening)
        node = self.backend(port=port.getHost().port)
        heard = SessionRecorder()
        await insist_on(node, [event(start())])
        await node.sessions.watch(SESSION, heard)
        while b"_link_status:up" not in replica.command("INFO", "replication"):
            await deferLater(reactor, 0.02)
        self.server.command("WAIT", "1", "1000")
        epoch = node.epoch
        self.server.kill()
        proxy.port = replica.port
        await deferLater(reactor, 0.1)
        replica.command("REPLICAOF", "NO", "ONE")
        await insist_on(node, [event(complete(), NOW + 1)])
        await until(lambda: heard.versions == [2])
        # The replica may have lacked the newest states.
        await until(lambda: node.epoch not in (None, epoch))

    async def test_overtaken(self) -> None:
        """The next master lacked the newest states, and has had others since, with the same version."""
        successor = RedisServer()
        self.addCleanup(successor.stop)
        successor.start()
        proxy = ProxyFactory("127.0.0.1", self.server.port)
        proxy.noisy = False
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(proxy)
        self.addCleanup(port.stopListening)
        for server in (self.server, successor):
            server.command("SET", "test:epoch", "one-data-set")
        node, other = self.backend(port=port.getHost().port), self.backend(port=successor.port)
        heard, begun = SessionRecorder(), event(start())
        await insist_on(node, [begun])
        await node.sessions.watch(SESSION, heard)
        await insist_on(node, [event(progress(1.0), NOW + 1)])
        await until(lambda: heard.versions == [2])
        await insist_on(other, [begun, event(progress(50.0), NOW + 1)])
        proxy.port = successor.port
        self.server.kill()
        await until(lambda: len(heard.heard) > 1)
        assert heard.heard[-1] is not None
        self.assertEqual((heard.versions, heard.heard[-1].progress.percent), ([2, 2], 50.0))


class PasswordTests(RedisTestCase):
    options = ("--requirepass", "a-password-for-tests")

    async def test_let_in(self) -> None:
        node = self.backend("a-password-for-tests")
        self.assertEqual(await node.sessions.count(), 0)

    async def test_not_let_in(self) -> None:
        for password in (None, "not-the-password"):
            with capturedLogs() as logged:
                node = self.backend(password)
                await self.assertFailure(node.sessions.count(), Unavailable)
            texts = [formatEvent(one) for one in logged]
            wanted = "requires a password" if password is None else "refuses the user name or password"
            self.assertIn(wanted, " ".join(texts))
            self.assertNotIn("not-the-password", " ".join(texts))


class TlsTests(RedisTestCase):
    """Redis behind something that ends TLS."""

    async def secured(self, certificate: bytes, trusted: bytes) -> RedisBackend:
        pem = ssl.PrivateCertificate.loadPEM(certificate.decode())
        proxy = ProxyFactory("127.0.0.1", self.server.port)
        proxy.noisy = False
        port = await SSL4ServerEndpoint(reactor, 0, pem.options(), interface="127.0.0.1").listen(proxy)
        self.addCleanup(port.stopListening)
        file = FilePath(self.mktemp())
        file.setContent(trusted)
        settings = RedisSettings(host="localhost", port=port.getHost().port, tls=True, ca=file.path)
        node = RedisBackend(steady(reactor), settings, None)
        node.service.startService()
        self.addCleanup(self.stop, node)
        return node

    async def test_trusted(self) -> None:
        certificate = self_signed("localhost")
        node = await self.secured(certificate, certificate)
        self.assertEqual(await node.sessions.count(), 0)

    async def test_one_of_several_authorities(self) -> None:
        """Wherever in the file it is."""
        certificate = self_signed("localhost")
        others = [self_signed(host) for host in ("one.test", "other.test")]
        for index in range(3):
            trusted = b"".join([*others[:index], certificate, *others[index:]])
            node = await self.secured(certificate, trusted)
            self.assertEqual(await node.sessions.count(), 0)

    async def test_not_trusted(self) -> None:
        node = await self.secured(self_signed("localhost"), self_signed("localhost"))
        await self.assertFailure(node.sessions.count(), Unavailable)
