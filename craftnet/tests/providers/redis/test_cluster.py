"""Two whole services on one Redis: what one knows of players and tokens holds on the other."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
from twisted.application.service import IService, MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from websockets.exceptions import ConnectionClosed, InvalidStatus

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import ADMIN
from craftnet.client import Address, Backoff, UdpTransport, Watch, WatchVerdict
from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode
from craftnet.limits.connection_limits import Limits
from craftnet.providers.redis.connection_slots import RedisConnectionSlots
from craftnet.server.build import build
from craftnet.server.service import Craftnet
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import SECRET, LiveTestCase, Peer, dated, in_thread, started, token
from craftnet.tests.support.observers import EndingRecorder
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER, SESSION

QUEUE = f"/ws/queue/{PLAYER}"
LIMIT = 4


def parts(service: IService) -> Iterator[IService]:
    """All services in a service."""
    yield service
    if isinstance(service, MultiService):
        for part in service:
            yield from parts(part)


def slots_of(node: Craftnet) -> RedisConnectionSlots:
    """Its part in the places."""
    return next(part for part in parts(node) if isinstance(part, RedisConnectionSlots))


class ClusterTestCase(LiveTestCase):
    """`self.service` and `self.other`."""

    def setUp(self) -> None:
        """Start Redis and both."""
        self.redis = RedisServer(durable=True)
        self.addCleanup(self.redis.stop)
        self.redis.start()
        backend = f"redis:port={self.redis.port}:timeout=1"
        # Queues are elsewhere, so that only the cluster asks Redis in the handshakes of their feeds.
        self.settings = replace(
            self.settings, backend=backend, queues="memory", limits=Limits(per_player=LIMIT), health_interval=0.1
        )
        super().setUp()
        self.other = self.another()

    def another(self) -> Craftnet:
        """One more node."""
        node = build(self.settings, steady(reactor), {SECRET_VARIABLE: SECRET})
        node.privilegedStartService()
        node.startService()
        self.addCleanup(lambda: node.running and node.stopService())
        return node

    def turn_to(self, node: Craftnet) -> None:
        """Talk to this one from now on."""
        self.url = node.listener.url
        self.ws_url = self.url.replace("http", "ws", 1)

    async def closed(self, peer: Peer) -> int:
        """How it ends."""
        with self.assertRaises(ConnectionClosed) as caught:
            while True:
                await peer.receive()
        assert caught.exception.rcvd is not None, "closed without a close frame"
        return caught.exception.rcvd.code

    async def status(self, bearer: str) -> Any:
        """The response to a handshake: 101, or how it was refused."""
        try:
            return (await self.open(QUEUE, bearer)).connection.response
        except InvalidStatus as error:
            return error.response

    def handshake(self, bearer: str) -> socket.socket:
        """Begin a handshake."""
        connection = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10)
        request = (
            f"GET {QUEUE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {bearer}\r\n\r\n"
        )
        connection.sendall(request.encode())
        return connection

    async def health(self, check: str, wanted: str) -> None:
        """Wait until /health says so."""
        said = None
        while said != wanted:
            report = await (await self.request("GET", "/health")).json()
            said = report.get("checks", {}).get(check, {}).get("status")  # before the first round there are none.
            await deferLater(reactor, 0.05)


class RevocationTests(ClusterTestCase):
    async def revoke(self, **body: object) -> Any:
        """Ask for it; the response."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(None, ADMIN)}"}
        return await self.request("POST", "/revocations", headers=headers, data=msgspec.json.encode(body))

    async def test_posted_here_holds_there(self) -> None:
        """A feed and a UDP connection on the other node are closed, and all refuse the token, after a restart, too."""
        await self.publish(started())
        bearer = dated(reactor.seconds(), "t-1")
        self.turn_to(self.other)
        feed, bystander = await self.open(QUEUE, bearer), await self.open(QUEUE, dated(reactor.seconds(), "t-2"))
        recorder = EndingRecorder()
        transport = UdpTransport(steady(reactor), Address(self.url), SESSION, PLAYER, bearer)
        watching = Watch(reactor, SESSION, [transport], recorder, Backoff(first=0.01)).start()
        await recorder.heard
        self.turn_to(self.service)
        response = await self.revoke(jti="t-1")
        self.assertEqual((response.code, (await response.json())["closed"]), (200, 0))
        self.assertEqual(await self.closed(feed), CloseCode.TOKEN_REVOKED)
        self.assertEqual((await watching).verdict, WatchVerdict.REFUSED)
        await self.service.stopService()
        await self.other.stopService()
        self.assertEqual(await self.closed(bystander), CloseCode.GOING_AWAY)
        for node in (self.another(), self.another()):
            self.turn_to(node)
            self.assertEqual((await self.status(bearer)).status_code, 401)
            self.assertEqual((await self.status(dated(reactor.seconds(), "t-2"))).status_code, 101)

    async def test_by_player(self) -> None:
        peer = await self.open(QUEUE, dated(reactor.seconds() - 5, "t-1"))
        self.turn_to(self.other)
        await self.revoke(player_id=str(PLAYER))
        self.assertEqual(await self.closed(peer), CloseCode.TOKEN_REVOKED)
        for node in (self.service, self.other):
            self.turn_to(node)
            self.assertEqual((await self.status(dated(reactor.seconds() - 4, "t-3"))).status_code, 401)
            self.assertEqual((await self.status(dated(reactor.seconds() + 2, "t-4"))).status_code, 101)

    async def test_on_the_way_in(self) -> None:
        """Revoked while Redis is asked about the player's places: opened after that, and closed."""
        await self.health("revocations", "ok")
        await slots_of(self.service).renew()
        self.redis.signal(signal.SIGSTOP)
        bearer = dated(reactor.seconds(), "t-1")
        with self.handshake(bearer) as connection:
            await until(lambda: slots_of(self.service).held(PLAYER))
            revoking = Deferred.fromCoroutine(self.revoke(jti="t-1"))
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
            while (await self.request("POST", "/events", headers=headers, data=b"[]")).code != 401:
                await deferLater(reactor, 0.01)
            self.redis.signal(signal.SIGCONT)
            await revoking

            def to_the_end() -> bytes:
                received = b""
                while octets := connection.recv(65536):
                    received += octets
                    if b"the token was revoked" in received:
                        break
                return received

            received = await in_thread(to_the_end)
        self.assertTrue(received.startswith(b"HTTP/1.1 101 "), received)
        self.assertIn(int(CloseCode.TOKEN_REVOKED).to_bytes(2, "big") + b"the token was revoked", received)

    async def test_while_redis_is_gone(self) -> None:
        """It holds where it is posted; the others hear of it when Redis is back."""
        bearer = dated(reactor.seconds(), "t-1")
        here = await self.open(QUEUE, bearer)
        self.turn_to(self.other)
        there = await self.open(QUEUE, bearer)
        await self.health("revocations", "ok")
        self.redis.kill()
        await self.health("revocations", "degraded")
        self.turn_to(self.service)
        response = await self.revoke(jti="t-1")
        self.assertEqual(response.code, 503)
        self.assertEqual(response.headers.getRawHeaders("Retry-After"), ["1"])
        self.assertIn("in force on this node", (await response.json())["message"])
        self.assertEqual(await self.closed(here), CloseCode.TOKEN_REVOKED)
        self.redis.start()
        self.assertEqual(await self.closed(there), CloseCode.TOKEN_REVOKED)
        await self.health("revocations", "ok")
        self.turn_to(self.another())
        self.assertEqual((await self.status(bearer)).status_code, 401)

    async def test_redis_comes_back_empty(self) -> None:
        """The nodes publish what they know."""
        bearer = dated(reactor.seconds() - 5, "t-1")
        await self.revoke(player_id=str(PLAYER))
        self.redis.kill()
        self.redis.forget()
        self.redis.start()
        while b":1" not in self.redis.command("ZCARD", "craftnet:revoked"):
            await deferLater(reactor, 0.02)
        self.turn_to(self.another())
        self.assertEqual((await self.status(bearer)).status_code, 401)


class SlotTests(ClusterTestCase):
    async def fill(self) -> list[Peer]:
        """Take the player's places, on both nodes."""
        peers = []
        for number in range(LIMIT):
            self.turn_to((self.service, self.other)[number % 2])
            peers.append(await self.open(QUEUE, token()))
        return peers

    async def test_full_everywhere(self) -> None:
        """Each node has room, and refuses; who leaves one makes room on the other."""
        peers = await self.fill()
        for node in (self.service, self.other):
            self.turn_to(node)
            refused = await self.status(token())
            self.assertEqual(refused.status_code, 429)
            self.assertEqual(refused.headers["X-RateLimit-Limit"], str(LIMIT))
            self.assertEqual(refused.headers["X-RateLimit-Remaining"], "0")
            self.assertIn("X-RateLimit-Reset", refused.headers)
            self.assertEqual(refused.headers["Retry-After"], "5")
        await peers[0].close()
        self.turn_to(self.other)
        while (await self.status(token())).status_code != 101:
            await deferLater(reactor, 0.02)
        self.assertEqual((await self.status(token(uuid4(), ADMIN))).status_code, 101)

    async def test_a_node_stops(self) -> None:
        """Its places are free at once."""
        await self.fill()
        await self.other.stopService()
        self.turn_to(self.service)
        codes = [(await self.status(token())).status_code for _ in range(LIMIT)]
        self.assertEqual(codes, [101, 101, 429, 429])

    async def test_a_node_is_killed(self) -> None:
        """Its links are cut, it says nothing: its places count for as long as its lease holds, and no longer."""
        await self.fill()
        dead = slots_of(self.other)
        name, dead.name = dead.name, None
        assert name is not None
        await dead.stopService()
        self.turn_to(self.service)
        self.assertEqual((await self.status(token())).status_code, 429)
        self.redis.command("ZADD", "craftnet:nodes", "1", name)  # as if 15 seconds had passed.
        codes = [(await self.status(token())).status_code for _ in range(LIMIT)]
        self.assertEqual(codes, [101, 101, 429, 429])

    async def test_hung_up_in_the_handshake(self) -> None:
        """A player that leaves while Redis is being asked takes no slot, here or in the cluster."""
        node, occupancy = slots_of(self.service), self.service.feeds.gate.occupancy
        await node.renew()
        await self.health("revocations", "ok")
        self.redis.signal(signal.SIGSTOP)
        with contextlib.ExitStack() as stack:
            for _ in range(LIMIT):
                stack.enter_context(self.handshake(token()))
            await until(lambda: node.held(PLAYER) == LIMIT)
        await until(lambda: not len(occupancy))
        self.redis.signal(signal.SIGCONT)
        self.assertEqual(node.held(PLAYER), 0)
        await self.fill()

    async def test_redis_gone_and_back(self) -> None:
        """Open connections stay, and count again."""
        peers = await self.fill()
        nodes = [slots_of(node) for node in (self.service, self.other)]
        before = [node.name for node in nodes]
        self.redis.kill()
        self.redis.forget()
        await peers[2].close()
        for node in nodes:
            await node.renew()
        await self.health("places", "degraded")
        self.redis.start()
        for node in nodes:
            while node.name in before or not node.settled:
                await node.renew()
                await deferLater(reactor, 0.02)
        await self.health("places", "ok")
        codes = [(await self.status(token())).status_code for _ in range(3)]
        self.assertEqual(codes, [101, 429, 429])


class OtherBackendTests(LiveTestCase):
    """Sessions are in Redis, and the rest is not."""

    def setUp(self) -> None:
        """Start Redis and one node."""
        self.redis = RedisServer()
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.settings = replace(self.settings, sessions=f"redis:port={self.redis.port}", health_interval=0.1)
        super().setUp()

    async def test_the_main_one_is_the_cluster(self) -> None:
        while (health := await (await self.request("GET", "/health")).json()).get("checks") is None:
            await deferLater(reactor, 0.02)
        self.assertEqual(health["checks"]["sessions"]["status"], "ok")
        self.assertNotIn("places", health["checks"])
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(None, ADMIN)}"}
        body = msgspec.json.encode({"jti": "t-1"})
        self.assertEqual((await self.request("POST", "/revocations", headers=headers, data=body)).code, 200)
        self.assertEqual(self.redis.command("EXISTS", "craftnet:revoked"), b":0\r\n")
