"""What one client, or many, can use of the WebSocket side: over real sockets."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from typing import Any

from twisted.internet import reactor
from twisted.internet.tcp import Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from craftnet.access.principal import ADMIN
from craftnet.contract.close_codes import CloseCode
from craftnet.limits.client_address import NO_NETWORKS, Networks
from craftnet.limits.connection_limits import Limits
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, Peer, in_thread, started, token
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER, SESSION

QUEUE = f"/ws/queue/{PLAYER}"
CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def limited(limits: Limits, **more: object) -> Settings:
    """Settings with these limits."""
    return Settings(http="tcp:0:interface=127.0.0.1", udp="off", limits=limits, drain_time=0.0, **more)  # type: ignore[arg-type]


class LimitTestCase(LiveTestCase):
    async def refusal(self, path: str, bearer: str | None, **options: Any) -> InvalidStatus:
        """How a handshake is refused."""
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(path, bearer, **options)
        assert isinstance(caught.exception, InvalidStatus)
        return caught.exception

    async def assert_limited(self, path: str, bearer: str, limit: int) -> None:
        """A handshake is refused with 429 and all that belongs to it."""
        response = (await self.refusal(path, bearer)).response
        self.assertEqual(response.status_code, 429)
        self.assertEqual(response.headers["X-RateLimit-Limit"], str(limit))
        self.assertEqual(response.headers["X-RateLimit-Remaining"], "0")
        self.assertGreaterEqual(int(response.headers["Retry-After"]), 1)

    async def refusals(self, label: str) -> int:
        """How many were counted."""
        text = await (await self.request("GET", "/metrics")).text()
        line = f'craftnet_refusals_total{{reason="{label}"}} '
        return int(float(next((each.removeprefix(line) for each in text.splitlines() if each.startswith(line)), "0")))

    async def closed_with(self, peer: Peer) -> int:
        """The close code that comes after whatever else."""
        with self.assertRaises(ConnectionClosed) as caught:
            while True:
                await peer.receive()
        assert caught.exception.rcvd is not None, "closed without a close frame"
        return caught.exception.rcvd.code


class ConnectionLimitTests(LimitTestCase):
    """How many there may be."""

    settings = limited(Limits(per_player=2, per_session=3, per_address=6, unlimited=NO_NETWORKS))

    async def test_per_player_session_and_address(self) -> None:
        await self.publish(started())
        peers = [await self.open(CRAFTING, token()) for _ in range(2)]
        await self.assert_limited(QUEUE, token(), 2)
        await self.open(CRAFTING, token(None, ADMIN))
        await self.assert_limited(CRAFTING, token(None, ADMIN), 3)
        for _ in range(3):
            await self.open(QUEUE, token(None, ADMIN))
        await self.assert_limited(f"/ws/queue/{OTHER_PLAYER}", token(OTHER_PLAYER), 6)
        await peers[0].close()
        await self.open(CRAFTING, token())
        self.assertEqual(await self.refusals("rate_limited"), 3)

    async def test_refused_handshakes_take_no_slot(self) -> None:
        for _ in range(10):
            self.assertEqual((await self.refusal(QUEUE, token(OTHER_PLAYER))).response.status_code, 403)
        for _ in range(2):
            await self.open(QUEUE, token())


class HandshakeRateTests(LimitTestCase):
    """How many handshakes one address may begin."""

    settings = limited(Limits(handshakes=0.5, unlimited=NO_NETWORKS))

    async def test_limited(self) -> None:
        """Whatever comes of them: bad tokens count, too."""
        for _ in range(2):
            self.assertEqual((await self.refusal(QUEUE, "nonsense")).response.status_code, 401)
        await self.assert_limited(QUEUE, token(), 2)


class ProxyTests(LimitTestCase):
    """Whose word is taken for an address."""

    settings = limited(
        Limits(per_address=1, unlimited=NO_NETWORKS), trusted_proxies=Networks.parse("127.0.0.1", "--trusted-proxy")
    )

    async def test_clients_of_a_trusted_proxy(self) -> None:
        for client in ("203.0.113.1", "203.0.113.2"):
            await self.open(QUEUE, token(), forwarded_for=client)
        error = await self.refusal(QUEUE, token(), forwarded_for="203.0.113.1")
        self.assertEqual(error.response.status_code, 429)


class StrangerTests(LimitTestCase):
    """The same without trust."""

    settings = limited(Limits(per_address=1, unlimited=NO_NETWORKS))

    async def test_header_is_not_believed(self) -> None:
        await self.open(QUEUE, token(), forwarded_for="203.0.113.1")
        error = await self.refusal(QUEUE, token(), forwarded_for="203.0.113.2")
        self.assertEqual(error.response.status_code, 429)


class OriginTests(LimitTestCase):
    """Pages of which sites may connect."""

    settings = limited(Limits(), origins=("https://game.example",))

    async def test_origins(self) -> None:
        for origin in ("https://game.example", self.url, None):
            await self.open(QUEUE, token(), origin=origin)
        error = await self.refusal(QUEUE, token(), origin="https://evil.example")
        self.assertEqual(error.response.status_code, 403)
        assert error.response.body is not None
        self.assertIn(b'"code":403', error.response.body)
        self.assertEqual(await self.refusals("forbidden"), 1)


class MessageRateTests(LimitTestCase):
    """Clients that talk too much."""

    settings = limited(Limits(messages=1.0, message_size=1024))

    async def test_pings(self) -> None:
        """A burst of 4 is answered, the next are not, and then the connection closes."""
        peer = await self.open(QUEUE, token())
        ping = Frame(Opcode.PING, b"x").serialize(mask=True)
        await in_thread(peer.connection.socket.sendall, ping * 10)
        self.assertEqual(await self.closed_with(peer), CloseCode.TOO_FAST)
        self.assertEqual(await self.refusals("too_fast"), 1)

    async def test_limited_first(self) -> None:
        peer = await self.open(QUEUE, token())
        answers = [await in_thread(peer.connection.ping) for _ in range(6)]
        await in_thread(answers[3].wait, 10)
        self.assertEqual([answer.is_set() for answer in answers], [True] * 4 + [False] * 2)

    async def test_fragments_without_end(self) -> None:
        """A message that never ends is as many frames as it has."""
        peer = await self.open(QUEUE, token())
        first = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
        more = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
        await in_thread(peer.connection.socket.sendall, first + more * 10)
        self.assertEqual(await self.closed_with(peer), CloseCode.TOO_FAST)

    async def test_many_at_once(self) -> None:
        """The close code arrives, however much was sent before and after, and the client is no hindrance to others."""
        peer = await self.open(QUEUE, token())
        ping = Frame(Opcode.PING, b"x").serialize(mask=True)
        await in_thread(peer.connection.socket.sendall, ping * 100)
        self.assertEqual(await self.closed_with(peer), CloseCode.TOO_FAST)
        await peer.close()
        await self.open(QUEUE, token())

    async def test_message_too_long(self) -> None:
        peer = await self.open(QUEUE, token())
        await peer.send("x" * 1025)
        self.assertEqual(await self.closed_with(peer), CloseCode.MESSAGE_TOO_BIG)


class HeartbeatTests(LimitTestCase):
    """Peers that do not answer."""

    settings = limited(Limits(), ping_interval=1, missed_pongs=1)

    async def test_dead_peer(self) -> None:
        """Turns the wheel by hand: a client that answers stays, one that does not is dropped after the first ping."""
        alive = await self.open(QUEUE, token())
        dead = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10)
        self.addCleanup(dead.close)
        request = (
            f"GET {QUEUE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token()}\r\n\r\n"
        )
        dead.sendall(request.encode())

        def to_the_end() -> bytes:
            received = b""
            try:
                while octets := dead.recv(65536):
                    received += octets
            except ConnectionResetError:
                pass
            return received

        self.assertEqual((await in_thread(to_the_end))[-2:], Frame(Opcode.PING, b"").serialize(mask=False))
        answer = await in_thread(alive.connection.ping)
        self.assertTrue(await in_thread(answer.wait, 10))
        self.assertEqual(await self.refusals("missed_pongs"), 1)


class SlowLorisTests(LimitTestCase):
    """Many connections that begin a handshake and never end it."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1:backlog=4096", udp="off", limits=Limits(half_open=200), drain_time=0.0
    )

    async def test_players_get_in(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        attackers = min(5000, hard - 1000)
        address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

        def attack(stack: ExitStack) -> None:
            for _ in range(attackers):
                connection = stack.enter_context(socket.create_connection(address, timeout=10))
                connection.sendall(f"GET {QUEUE} HTTP/1.1\r\nHost: x\r\nX-a: ".encode())

        with ExitStack() as stack:
            await in_thread(attack, stack)
            peer = await self.open(QUEUE, token())
            self.assertEqual((await self.request("GET", "/health")).code, 200)
            self.assertTrue(await in_thread((await in_thread(peer.connection.ping)).wait, 10))
            self.assertGreaterEqual(await self.refusals("half_open"), attackers - 200 - 2)
            self.assertLessEqual(self.connections(), 200 + 3)
        await until(lambda: self.connections() <= 3)

    def connections(self) -> int:
        """The server's ends of connections."""
        return sum(isinstance(reader, Server) for reader in reactor.getReaders())
