"""A Redis that Sentinel looks after: real sentinels, real fail-overs, and sentinels that are of no use."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.portforward import ProxyFactory
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.clocks import steady
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.connection import RedisCredentials
from craftnet.providers.redis.endpoints import MasterWatch, SentinelEndpoint
from craftnet.providers.redis.settings import RedisSettings, parse_redis_settings
from craftnet.runtime.addresses import HostPort
from craftnet.runtime.component_spec import parse_component_spec
from craftnet.tests.contracts.cluster import TOKEN, RevocationRecorder
from craftnet.tests.contracts.source import SessionRecorder, complete
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.redis_nodes import RedisTestCase, insist_on
from craftnet.tests.support.redis_server import RedisServer, Sentinel
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start


class SettingsTests(SynchronousTestCase):
    def test_sentinels(self) -> None:
        spec = parse_component_spec("redis:sentinel=one.example:26379,[::1]:26380:service=crafts:prefix=game")
        settings = parse_redis_settings(spec.arguments, tls=False)
        self.assertEqual(settings.sentinels, (HostPort("one.example", 26379), HostPort("::1", 26380)))
        self.assertEqual((settings.service, settings.prefix), ("crafts", "game"))
        self.assertEqual(settings.described, "crafts (by the sentinels one.example:26379, [::1]:26380)")
        self.assertEqual(parse_redis_settings({"sentinel": "one:1"}, tls=True).service, "mymaster")

    def test_refused(self) -> None:
        for arguments, words in (
            ({"sentinel": "one"}, "takes host:port"),
            ({"sentinel": "26379"}, "takes host:port"),
            ({"sentinel": "one:0"}, "takes host:port"),
            ({"sentinel": "one:1,"}, "takes host:port"),
            ({"sentinel": "one:1", "host": "two"}, "not both"),
            ({"sentinel": "one:1", "port": "6379"}, "not both"),
            ({"service": "crafts"}, "needs sentinel="),
            ({"sentinel": "one:1", "service": ""}, "service= is empty"),
        ):
            error = self.assertRaises(ConfigurationError, parse_redis_settings, arguments, tls=False)
            self.assertIn(words, str(error), arguments)


@implementer(IStreamClientEndpoint)
class Nowhere:
    """An endpoint that never answers.

    Arguments:
        error: how it fails when it is cancelled.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """As in `IStreamClientEndpoint`."""
        return Deferred(lambda deferred: deferred.errback(self._error))


class GivenUpTests(SynchronousTestCase):
    """Who stops while a sentinel is asked asks no other one."""

    def setUp(self) -> None:
        """Two sentinels that never answer."""
        self.asked: list[HostPort] = []
        self.error: Exception = ConnectingCancelledError(None)
        sentinels = [HostPort("one.example", 1), HostPort("two.example", 2)]
        self.way = SentinelEndpoint(self.reach, sentinels, "crafts", RedisCredentials(None, None), 1.0)

    def reach(self, address: HostPort) -> Nowhere:
        """One is asked."""
        self.asked.append(address)
        return Nowhere(self.error)

    def test_connecting(self) -> None:
        connecting = self.way.connect(Factory())
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.asked, [HostPort("one.example", 1)])

    def test_looking_a_name_up(self) -> None:
        """Twisted also resolves addresses, and a cancelled resolution looks like an unknown name."""
        self.error = DNSLookupError()
        self.test_connecting()

    def test_looking_out(self) -> None:
        master_watch = MasterWatch(self.way, [], SteppedClock())
        master_watch.startService()
        master_watch.stopService()
        self.assertEqual(self.asked, [HostPort("one.example", 1)])
        del master_watch
        gc.collect()  # what fails and is not heard is in the log then.
        self.assertEqual(self.flushLoggedErrors(), [])


class SentinelTestCase(RedisTestCase):
    """A master; `node` is one that asks sentinels for it."""

    def node(self, *sentinels: int, password: str | None = None, timeout: float = 1.0) -> RedisBackend:
        """A node, running."""
        addresses = tuple(HostPort("127.0.0.1", port) for port in sentinels)
        settings = RedisSettings(sentinels=addresses, prefix=self.prefix, timeout=timeout)
        node = RedisBackend(steady(reactor), settings, None, password)
        node.service.startService()
        self.addCleanup(self.stop, node)
        return node

    def running(self, server: RedisServer) -> Any:
        """Start it, and stop it in the end."""
        self.addCleanup(server.stop)
        server.start()
        return server


class FailOverTests(SentinelTestCase):
    """A master and its replica, which one sentinel looks after; another one is gone."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.replica = self.running(
            RedisServer("--replicaof", "127.0.0.1", str(self.server.port), "--repl-diskless-sync-delay", "0")
        )

    async def begin(self) -> tuple[RedisBackend, SessionRecorder]:
        """A node that has written to the master, and watches."""
        await until(lambda: b"_link_status:up" in self.replica.command("INFO", "replication"))
        self.sentinel = self.running(Sentinel(self.server.port))
        await until(lambda: b"num-slaves\r\n$1\r\n1" in self.sentinel.command("SENTINEL", "MASTER", "mymaster"))
        node, heard = self.node(reserved_port(self), self.sentinel.port), SessionRecorder()
        await insist_on(node, [event(start())])
        await node.sessions.watch(SESSION, heard)
        self.server.command("WAIT", "1", "1000")
        return node, heard

    async def test_master_killed(self) -> None:
        """The sentinel promotes the replica, and the node continues there with what it had."""
        node, heard = await self.begin()
        self.server.kill()
        await insist_on(node, [event(complete(), NOW + 1)])
        await until(lambda: heard.versions == [2])
        self.assertEqual(self.replica.command("HGET", f"test:session:{SESSION}", "version"), b"$1\r\n2\r\n")

    async def test_players_and_tokens(self) -> None:
        """The node publishes what the replica had not received."""
        node, _ = await self.begin()
        listener = RevocationRecorder(TOKEN)
        node.revocations.follow(listener)
        await node.connection_slots.renew()
        former = node.connection_slots.name
        self.assertEqual([await node.connection_slots.enter(PLAYER, 3) for _ in range(2)], [True, True])
        self.server.kill()
        await until(lambda: node.revocations.loads == 2 and node.revocations.complete)
        while node.connection_slots.name in (None, former) or not node.connection_slots.settled:
            await node.connection_slots.renew()
            await deferLater(reactor, 0.005)  # without a connection, renewing waits for nothing.
        self.assertEqual(self.replica.command("ZCARD", "test:revoked"), b":1\r\n")
        taken = self.replica.command("HGET", f"test:places:{node.connection_slots.name}", str(PLAYER))
        self.assertEqual(taken, b"$1\r\n2\r\n")

    async def test_by_hand(self) -> None:
        """As for maintenance: the old master lives on, and does not know for ten seconds that it is none any more."""
        node, heard = await self.begin()
        with capturedLogs() as logged:
            self.assertEqual(self.sentinel.command("SENTINEL", "FAILOVER", "mymaster"), b"+OK\r\n")
            await until(lambda: self.replica.shows(b"role:master", "INFO", "replication"))
            await until(lambda: self.replica.shows(b"cmd=xread", "CLIENT", "LIST"))
        named = [formatEvent(one) for one in logged if "name another master" in formatEvent(one)]
        self.assertEqual(len(named), 1)
        self.assertIn(f"127.0.0.1:{self.replica.port}, before 127.0.0.1:{self.server.port}", named[0])
        self.assertTrue(self.server.shows(b"role:master", "INFO", "replication"))
        await insist_on(node, [event(complete(), NOW + 1)])
        await until(lambda: heard.versions == [2])
        self.assertEqual(self.replica.command("HGET", f"test:session:{SESSION}", "version"), b"$1\r\n2\r\n")


class ScriptedSentinel(Protocol):
    """A sentinel that gives prescribed answers."""

    def __init__(self, said: list[bytes]) -> None:
        self._said = said

    def dataReceived(self, data: bytes) -> None:
        """Answer, unless there is nothing to say."""
        if self.transport is not None:
            self.transport.write(self._said[0])


class BadSentinelTests(SentinelTestCase):
    """Their answers must be verified, and not waited for."""

    def scripted_sentinel(self, said: list[bytes]) -> int:
        """The port of one."""
        factory: Any = Factory.forProtocol(lambda: ScriptedSentinel(said))
        factory.noisy = False
        port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def naming(self, server: RedisServer) -> bytes:
        """The answer of one that takes `server` for the master."""
        port = b"%d" % server.port
        return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(port), port)

    async def test_next(self) -> None:
        """One is gone, one silent, one has not heard of it, one is no sentinel; the last one knows."""
        useless = [
            self.scripted_sentinel([answer]) for answer in (b"", b"*-1\r\n", b"-ERR unknown\r\n", b"*1\r\n$1\r\nx\r\n")
        ]
        node = self.node(reserved_port(self), *useless, self.scripted_sentinel([self.naming(self.server)]), timeout=0.3)
        await insist_on(node, [event(start())])
        # It is the first one from now on.
        self.server.command("CLIENT", "KILL", "TYPE", "normal")
        await insist_on(node, [event(complete(), NOW + 1)])

    async def test_none(self) -> None:
        """The log says which one was asked, and the result."""
        gone = reserved_port(self)
        with capturedLogs() as logged:
            node = self.node(gone, self.scripted_sentinel([b"*-1\r\n"]))
            await self.assertFailure(node.sessions.count(), Unavailable)
        text = " ".join(map(formatEvent, logged))
        for words in ("mymaster (by the sentinels 127.0.0.1:", f"127.0.0.1:{gone}: ", "refused", "does not know it"):
            self.assertIn(words, text)

    async def test_no_master(self) -> None:
        """Whom it names may be a replica: nothing is asked of that one."""
        replica = self.running(RedisServer("--replicaof", "127.0.0.1", str(self.server.port)))
        said = [self.naming(replica)]
        with capturedLogs() as logged:
            node = self.node(self.scripted_sentinel(said))
            await self.assertFailure(node.sessions.count(), Unavailable)
        self.assertIn("is not a master", " ".join(map(formatEvent, logged)))
        said[0] = self.naming(self.server)
        await insist_on(node, [event(start())])
        self.assertEqual(await node.sessions.count(), 1)


class PasswordTests(SentinelTestCase):
    async def test_of_the_sentinel(self) -> None:
        sentinel = self.running(Sentinel(self.server.port, "requirepass a-password-for-tests"))
        with capturedLogs() as logged:
            node = self.node(sentinel.port, password="not-the-password")
            await self.assertFailure(node.sessions.count(), Unavailable)
        texts = " ".join(map(formatEvent, logged))
        self.assertIn("WRONGPASS", texts)
        self.assertNotIn("not-the-password", texts)
        allowed = self.node(sentinel.port, password="a-password-for-tests")
        self.assertEqual(await allowed.sessions.count(), 0)


class TlsTests(SentinelTestCase):
    """The sentinel, and the server that it names, behind something that ends TLS."""

    async def secured(self, factory: Any) -> int:
        """The port where it is reached with TLS."""
        factory.noisy = False
        options = ssl.PrivateCertificate.loadPEM(self.certificate.decode()).options()
        port = await SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def test_both(self) -> None:
        self.certificate = self_signed("localhost")
        server = b"%d" % await self.secured(ProxyFactory("127.0.0.1", self.server.port))
        said = [b"*2\r\n$9\r\nlocalhost\r\n$%d\r\n%b\r\n" % (len(server), server)]
        sentinel = HostPort("localhost", await self.secured(Factory.forProtocol(lambda: ScriptedSentinel(said))))
        file = FilePath(self.mktemp())
        file.setContent(self.certificate)
        node = RedisBackend(steady(reactor), RedisSettings(sentinels=(sentinel,), tls=True, ca=file.path), None)
        node.service.startService()
        self.addCleanup(self.stop, node)
        self.assertEqual(await node.sessions.count(), 0)
