"""The sniffer on real sockets, plain and TLS: what the kernel and Twisted's transports add to the tests in memory."""

from __future__ import annotations

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from craftnet.contract.routes import BasePaths
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.exchange import Call, Endpoint, Response
from craftnet.http.resource import Router, RouteTable
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.http_wire import UPGRADE, Answer, House, answers, request

HOST = b"Host: craft.example\r\n"


class Echo(Endpoint):
    """Returns what it received."""

    methods = ("GET", "POST")

    async def respond(self, call: Call) -> Response:
        return Response(200, call.body or call.path.encode(), media_type="text/plain")


class Client(Protocol):
    """Records what it receives, to the end."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()
        self._awaited: tuple[bytes, Deferred[None]] | None = None

    def until(self, octets: bytes) -> Deferred[None]:
        """Fires when these have come."""
        awaited: Deferred[None] = Deferred()
        self._awaited = (octets, awaited)
        self.dataReceived(b"")
        return awaited

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data
        if self._awaited is not None and self._awaited[0] in self.received:
            awaited, self._awaited = self._awaited[1], None
            awaited.callback(None)

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008  # as in Protocol
        """The server has closed."""
        self.ended.callback(self.received)


class SocketTestCase(TestCase):
    timeout = 10

    async def listen(self) -> None:
        metrics = Metrics()
        self.clock = SteppedClock()  # nothing waits for time here; the tests in memory do.
        routes = Router(RouteTable(BasePaths(), {"/echo": Echo()}), metrics, self.clock)
        site = HttpSite(routes, self.clock, metrics, body_limit=100_000, idle=60.0)
        self.house = House(site, self.clock, metrics)
        self.port: IListeningPort = await self.server_endpoint().listen(self.house.factory)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.all_gone()))
        self.addCleanup(self.port.stopListening)
        self.number = self.port.getHost().port

    def server_endpoint(self) -> TCP4ServerEndpoint | SSL4ServerEndpoint:
        return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")

    def client_endpoint(self) -> IStreamClientEndpoint:
        return HostnameEndpoint(reactor, "127.0.0.1", self.number)

    async def connect(self) -> Client:
        client: Client = await connectProtocol(self.client_endpoint(), Client())
        return client

    async def exchange(self, octets: bytes) -> list[Answer]:
        """Sends it on its own connection; returns everything up to the server's close."""
        client = await self.connect()
        assert client.transport is not None
        client.transport.write(octets)
        return list(answers(await client.ended))

    async def all_gone(self) -> None:
        """Wait until the server's side of every connection is closed too."""
        while any(isinstance(reader, Server) for reader in reactor.getReaders()):
            await self.turn()

    def turn(self) -> Deferred[None]:
        """Let the reactor do something."""
        turned: Deferred[None] = Deferred()
        reactor.callLater(0, turned.callback, None)
        return turned

    def assert_refused(self, given: list[Answer], status: int) -> None:
        """Once, and in the contract's shape."""
        self.assertEqual([(answer.status, answer.json["code"]) for answer in given], [(status, status)])


class ClientTests(SocketTestCase):
    async def test_treq(self) -> None:
        await self.listen()
        pool = HTTPConnectionPool(reactor)
        self.addCleanup(pool.closeCachedConnections)
        client = HTTPClient(Agent(reactor, pool=pool))
        for body in (b"hello", b"x" * 100_000):
            response = await client.post(f"http://127.0.0.1:{self.number}/echo", data=body)
            self.assertEqual(await response.content(), body)
        response = await client.get(f"http://127.0.0.1:{self.number}/nowhere")
        self.assertEqual((response.code, (await response.json())["code"]), (404, 404))

    async def test_client_that_closes_its_half(self) -> None:
        await self.listen()
        client = await self.connect()
        assert ITCPTransport.providedBy(client.transport)
        client.transport.write(b"GET /echo HT")
        client.transport.loseWriteConnection()
        self.assertEqual(await client.ended, b"")
        await self.all_gone()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TcpTests(SocketTestCase):
    async def test_http_1_0(self) -> None:
        await self.listen()
        (answer,) = await self.exchange(b"GET /echo HTTP/1.0\r\n\r\n")
        self.assertEqual((answer.status, answer.body), (200, b"/echo"))

    async def test_pipelined(self) -> None:
        await self.listen()
        last = request("/echo", fields=HOST + b"Connection: close\r\n")
        given = await self.exchange(request("/echo") * 5 + request("/nowhere") + last)
        self.assertEqual([answer.status for answer in given], [200] * 5 + [404, 200])

    async def test_garbage(self) -> None:
        await self.listen()
        for octets in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
            b"\r\nhello\r\n\r\n",
            request(fields=HOST + HOST),
            request(fields=HOST + b"X: \x01\r\n"),
            request(method="G@T"),
        ):
            self.assert_refused(await self.exchange(octets), 400)
            first, *others = await self.exchange(request("/echo") + octets)
            self.assertEqual(first.status, 200)
            self.assert_refused(others, 400)

    async def test_unknown_method(self) -> None:
        await self.listen()
        (answer,) = await self.exchange(request("/echo", "BREW", HOST + b"Connection: close\r\n"))
        self.assertEqual((answer.status, answer.json["code"]), (405, 405))

    async def test_head_too_long(self) -> None:
        """Much more is on its way than the server reads, and yet the answer arrives."""
        await self.listen()
        self.assert_refused(await self.exchange(b"GET /" + b"x" * 3_000_000), 414)

    async def test_body_too_long(self) -> None:
        await self.listen()
        self.assert_refused(await self.exchange(request("/echo", "POST", body=b"x" * 3_000_000)), 413)

    async def test_chunked_body_too_long(self) -> None:
        await self.listen()
        fields = HOST + b"Transfer-Encoding: chunked\r\n"
        chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
        self.assert_refused(await self.exchange(request("/echo", "POST", fields) + chunk * 40 + b"0\r\n\r\n"), 413)

    async def test_handshakes(self) -> None:
        """As a connection's first request and as a later one."""
        await self.listen()
        for before in (b"", request("/echo")):
            client = await self.connect()
            assert client.transport is not None
            if before:
                client.transport.write(before)
                await client.until(b"\r\n\r\n/echo")
            client.transport.write(request("/ws/queue/x", fields=HOST + UPGRADE))
            while not self.house.listeners.built:
                await self.turn()
            listener = self.house.listeners.built.pop()
            assert listener.transport is not None
            listener.transport.write(b"welcome")
            await client.until(b"welcome")
            client.transport.write(b"frame")
            while not listener.received.endswith(b"\r\n\r\nframe"):
                await self.turn()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            listener.transport.loseConnection()
            await client.ended


class TlsTests(TcpTests):
    """All of it again, where a wrapper sits between the socket and the protocols."""

    def setUp(self) -> None:
        self.certificate = PrivateCertificate.loadPEM(self_signed("craft.example"))

    def server_endpoint(self) -> SSL4ServerEndpoint:
        return SSL4ServerEndpoint(reactor, 0, self.certificate.options(), interface="127.0.0.1")

    def client_endpoint(self) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = wrapClientTLS(
            optionsForClientTLS("craft.example", self.certificate), super().client_endpoint()
        )
        return endpoint
