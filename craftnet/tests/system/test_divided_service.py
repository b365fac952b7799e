"""Two whole services that divide the players: whichever a client comes to, it is served as by one."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from websockets.exceptions import ConnectionClosed, InvalidStatus

from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client import Address, Backoff, UdpTransport, Watch, WatchVerdict
from craftnet.clocks import steady
from craftnet.limits.connection_limits import Limits
from craftnet.protocols.wire.codec import encode_progress
from craftnet.protocols.wire.records import ProgressFlags, ProgressRecord
from craftnet.providers.shards import Shards
from craftnet.providers.workshop.backend import WorkshopFactory
from craftnet.sharding import links
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.certificates import issued
from craftnet.tests.support.divided_case import PAUSE, DividedTestCase
from craftnet.tests.support.event_source import StreamReader
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import envelope, in_thread, started, token
from craftnet.tests.support.observers import EndingRecorder
from craftnet.tests.support.samples import SESSION, player_of


class HandedOverTests(DividedTestCase):
    """Connections whose first request is a handshake."""

    async def test_to_the_players_worker(self) -> None:
        """It receives what any worker accepts, with nothing in between; and disconnects there."""
        await self.publish(started(player_id=self.player))
        peer = await self.watch()
        self.assertEqual((await self.connections(self.service), await self.connections(self.other)), (0, 1))
        await self.publish(envelope("crafting.session.pause", {"session_id": str(SESSION), **PAUSE}))
        self.assertEqual((await peer.receive())["progress_data"]["status"], "paused")
        await peer.close()
        await until(lambda: not self.other.feeds.open)

    async def test_queue(self) -> None:
        peer = await self.open(f"/ws/queue/{self.player}", token(self.player))
        data = {"player_id": str(self.player), "queue_position": 3, "station_type": "laboratory"}
        await self.publish(envelope("crafting.queue.update", data))
        self.assertEqual((await peer.receive())["queue_position"], 3)
        self.assertEqual(await self.connections(self.other), 1)

    async def test_event_streams(self) -> None:
        """They are handed over as handshakes are; a snapshot is answered by the player's worker, too."""
        reader = await in_thread(StreamReader, self.url, f"/sse/queue/{self.player}", token(self.player))
        self.addCleanup(in_thread, reader.close)
        self.assertEqual((len(self.service.feeds.open), len(self.other.feeds.open)), (0, 1))
        await self.publish(envelope("crafting.queue.update", {"player_id": str(self.player), "queue_position": 3}))
        self.assertEqual(msgspec.json.decode((await in_thread(reader.event)).data)["queue_position"], 3)
        headers = {"Authorization": f"Bearer {token(self.player)}"}
        response = await self.request("GET", f"/ws/queue/{self.player}", headers=headers)
        (message,) = (await response.json())["messages"]
        self.assertEqual(message["queue_position"], 3)

    async def test_ones_own_stays(self) -> None:
        """So do health feeds, and requests that name no player."""
        own = player_of(0)
        await self.publish(started(player_id=own))
        await self.watch(player_id=own)
        await self.admin_feed("/health/ws")
        self.assertEqual((await self.connections(self.service), await self.connections(self.other)), (2, 0))
        with self.assertRaises(InvalidStatus) as caught:
            await self.open("/ws/crafting/not-an-id", token(own))
        self.assertEqual(caught.exception.response.status_code, 400)

    async def test_what_followed_the_head(self) -> None:
        """A client that does not wait for the answer loses nothing."""
        await self.publish(started(player_id=self.player))
        request = (
            f"GET /ws/crafting/{SESSION}?player_id={self.player} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token(self.player)}\r\n\r\n"
        ).encode()
        closing = bytes([0x88, 0x82, 0, 0, 0, 0, 3, 232])
        for at_once in (True, False):
            answer = await in_thread(self.send_raw, request + closing, at_once=at_once)
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
            self.assertIn(bytes([0x88, 2, 3, 232]), answer)

    async def test_refusals(self) -> None:
        """As one process refuses: also what only the other worker knows."""
        await self.publish(started(player_id=self.player))
        other, unknown = player_of(0), uuid4()
        for session_id, player_id, bearer, status in (
            (SESSION, self.player, None, 401),
            (SESSION, self.player, other, 403),
            (SESSION, other, other, 403),
            (unknown, self.player, self.player, 404),
            (unknown, other, other, 404),
        ):
            with self.assertRaises(InvalidStatus) as caught:
                path = f"/ws/crafting/{session_id}?player_id={player_id}"
                await self.open(path, None if bearer is None else token(bearer))
            self.assertEqual(caught.exception.response.status_code, status)

    async def test_the_worker_is_gone(self) -> None:
        """503 with a time to return, and then it is there again, without its state."""
        self.patch(links, "RESTART_WAIT", 0.05)
        await self.publish(started(player_id=self.player))
        await self.stop_other()
        with self.assertRaises(InvalidStatus) as caught:
            await self.watch()
        self.assertEqual(caught.exception.response.status_code, 503)
        self.assertEqual(caught.exception.response.headers["Retry-After"], "1")
        self.patch(links, "RESTART_WAIT", 10.0)
        self.other = self.worker(1)
        with self.assertRaises(InvalidStatus) as caught:
            await self.watch()
        self.assertEqual(caught.exception.response.status_code, 404)

    async def test_many(self) -> None:
        """At once, to both workers: each connection gets its own octets."""
        players = [player_of(number % 2) for number in range(30)]
        sessions = [uuid4() for _ in players]
        await self.publish(*(started(*pair) for pair in zip(sessions, players, strict=True)))
        opening = [self.watch(*pair) for pair in zip(sessions, players, strict=True)]
        await gatherResults([Deferred.fromCoroutine(each) for each in opening])
        self.assertEqual((await self.connections(self.service), await self.connections(self.other)), (15, 15))


class RelayedTests(DividedTestCase):
    """Connections that cannot be handed over as they are."""

    def setUp(self) -> None:
        certificate = issued("localhost")
        path = Path(self.mktemp())
        path.mkdir()
        (path / "key.pem").write_bytes(certificate.key)
        (path / "chain.pem").write_bytes(certificate.chain)
        self.plain = self.settings.http
        self.secure = f"ssl:0:interface=127.0.0.1:privateKey={path / 'key.pem'}:certKey={path / 'chain.pem'}"
        if "tls" in self._testMethodName:
            self.settings = replace(self.settings, http=self.secure)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        return super().setUp()

    async def publish(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Post events; with TLS, too."""
        host, port = self.url.split("://")[1].split(":")

        def post() -> dict[str, Any]:
            connection = (
                http.client.HTTPSConnection(host, int(port), context=self.context)
                if self.url.startswith("https")
                else http.client.HTTPConnection(host, int(port))
            )
            headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json"}
            connection.request("POST", "/events", msgspec.json.encode(events), headers)
            answer: dict[str, Any] = msgspec.json.decode(connection.getresponse().read())
            connection.close()
            return answer

        return await in_thread(post)

    async def test_tls(self) -> None:
        """Both directions, and both ends: updates arrive, and a close by either side closes the other."""
        await self.publish(started(player_id=self.player))
        peer = await self.watch(ssl=self.context)
        self.assertEqual((len(self.service.feeds.open), len(self.other.feeds.open)), (0, 1))
        await self.publish(envelope("crafting.session.pause", {"session_id": str(SESSION), **PAUSE}))
        self.assertEqual((await peer.receive())["progress_data"]["status"], "paused")
        pong = await in_thread(peer.connection.ping)
        self.assertTrue(await in_thread(pong.wait, 10))
        await peer.close()
        await until(lambda: not self.other.feeds.open)
        peer = await self.watch(ssl=self.context)
        await self.other.stopService()
        with self.assertRaises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.exception.rcvd is not None
        self.assertEqual(caught.exception.rcvd.code, 1001)

    async def test_tls_peer_vanishes(self) -> None:
        await self.publish(started(player_id=self.player))
        peer = await self.watch(ssl=self.context)
        peer.connection.socket.shutdown(socket.SHUT_RDWR)
        await until(lambda: not self.other.feeds.open)

    async def test_tls_worker_gone(self) -> None:
        self.patch(links, "RESTART_WAIT", 0.05)
        await self.stop_other()
        with self.assertRaises(InvalidStatus) as caught:
            await self.watch(ssl=self.context)
        self.assertEqual(caught.exception.response.status_code, 503)

    async def test_reused(self) -> None:
        """A handshake on a connection that a proxy keeps alive, after an answer."""
        await self.publish(started(player_id=self.player))

        def reuse() -> bytes:
            host, port = self.url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(
                    f"GET /ws/crafting/{SESSION}?player_id={self.player} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    f"Authorization: Bearer {token(self.player)}\r\n\r\n".encode()
                )
                octets = b""
                while b'"type"' not in octets:
                    octets += connection.recv(65536)
                return octets

        with counted() as calls:
            octets = await in_thread(reuse)
        self.assertTrue(octets.startswith(b"HTTP/1.1 101"), octets)
        self.assertEqual(calls["craftnet.http.request_head.parse_head"], 2, "one for each of the two requests")
        self.assertEqual(calls["craftnet.http.request_head.Head.octets"], 0, "the head is handed over as it was parsed")
        await until(lambda: not self.other.feeds.open)


class RequestTests(DividedTestCase):
    """HTTP requests about one player."""

    async def ask(self, method: str, path: str, bearer: str, **options: Any) -> tuple[int, Any]:
        """The status and the body."""
        response = await self.request(method, path, headers={"Authorization": f"Bearer {bearer}"}, **options)
        return response.code, msgspec.json.decode(await response.content())

    async def connect_udp(self, session_id: UUID, player_id: UUID) -> tuple[int, Any]:
        """As a client does that wants to connect by UDP."""
        headers = {"Authorization": f"Bearer {token(player_id)}", "Content-Type": "application/json"}
        body = msgspec.json.encode({"player_id": str(player_id), "client_version": "1.0.0"})
        response = await self.request("POST", f"/udp/sessions/{session_id}/connect", headers=headers, data=body)
        return response.code, await response.json()

    async def test_udp(self) -> None:
        """The player's worker names its own port, and delivers there what any worker accepts."""
        await self.publish(started(player_id=self.player))
        code, answer = await self.connect_udp(SESSION, self.player)
        assert self.other.udp_service is not None
        self.assertEqual(
            (code, answer["server_endpoint"].split(":")[1]), (200, self.other.udp_service.address.rpartition(":")[2])
        )
        self.assertEqual((await self.connect_udp(SESSION, player_of(0)))[0], 403)
        self.assertEqual((await self.connect_udp(uuid4(), self.player))[0], 404)

    async def test_udp_feed(self) -> None:
        """A client at the wrong worker is connected to its player's, and receives there what the wrong one accepts."""
        await self.publish(started(player_id=self.player))
        recorder = EndingRecorder()
        transport = UdpTransport(steady(reactor), Address(self.url), SESSION, self.player, token(self.player))
        watching = Watch(reactor, SESSION, [transport], recorder, Backoff(first=0.01)).start()
        await recorder.heard
        data = {"session_id": str(SESSION), "failure_reason": "timeout"}
        await self.publish(envelope("crafting.session.fail", data))
        self.assertEqual((await watching).verdict, WatchVerdict.FAILED)

    async def test_posted_progress(self) -> None:
        """A claim is compared, and the authority's record applied, where the session is."""
        await self.publish(started(player_id=self.player))
        moment = round(reactor.seconds() * 1000)
        body = encode_progress(ProgressRecord(1, moment, SESSION, 40.0, flags=ProgressFlags.PAUSED))
        for bearer, expected in (
            (token(self.player), '"agreed":false'),
            (token(None, PUBLISH), '"accepted":1'),
            (token(self.player), '"agreed":true'),
        ):
            headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/octet-stream"}
            path = f"/udp/sessions/{SESSION}/progress"
            response = await self.request("POST", path, headers=headers, data=body)
            self.assertEqual(response.code, 200)
            self.assertIn(expected, (await response.text()).replace(" ", ""))

    async def test_snapshots(self) -> None:
        """Refused as the WebSocket would be."""
        await self.publish(started(player_id=self.player))
        path = f"/ws/crafting/{SESSION}?player_id="
        for player_id, status in ((self.player, 200), (player_of(0), 403)):
            self.assertEqual((await self.ask("GET", f"{path}{player_id}", token(player_id)))[0], status)
        self.assertEqual((await self.ask("GET", f"/ws/queue/{self.player}", token(self.player)))[0], 200)

    async def test_the_worker_is_gone(self) -> None:
        self.patch(links, "RESTART_WAIT", 0.05)
        await self.publish(started(player_id=self.player))
        await self.stop_other()
        self.assertEqual((await self.connect_udp(SESSION, self.player))[0], 503)


class EverywhereTests(DividedTestCase):
    """What is in force on all workers."""

    def setUp(self) -> None:
        self.settings = replace(self.settings, limits=Limits(per_player=3))
        return super().setUp()

    async def test_revocations(self) -> None:
        """Posted to either, they close connections on both, and are in force on one that starts later."""
        observer = uuid4()
        peers = [await self.open(f"/ws/queue/{player_of(number)}", token(observer, ADMIN)) for number in range(2)]
        headers = {"Authorization": f"Bearer {token(None, ADMIN)}", "Content-Type": "application/json"}
        body = msgspec.json.encode({"player_id": str(observer)})
        revoked = token(observer, ADMIN)
        self.assertEqual((await self.request("POST", "/revocations", headers=headers, data=body)).code, 200)
        for peer in peers:
            with self.assertRaises(ConnectionClosed):
                await peer.receive()
        await self.stop_other()
        self.other = self.worker(1)
        for number in range(2):
            with self.assertRaises(InvalidStatus) as caught:
                await self.open(f"/ws/queue/{player_of(number)}", revoked)
            self.assertEqual(caught.exception.response.status_code, 401)

    async def test_one_limit(self) -> None:
        """Of a player's connections, on whichever workers they are."""
        observer = uuid4()
        for number in (0, 1, 1):
            await self.open(f"/ws/queue/{player_of(number)}", token(observer, ADMIN))
        for number in range(2):
            with self.assertRaises(InvalidStatus) as caught:
                await self.open(f"/ws/queue/{player_of(number)}", token(observer, ADMIN))
            self.assertEqual(caught.exception.response.status_code, 429)


class WorkshopTests(DividedTestCase):
    """Each worker simulates its own players."""

    def setUp(self) -> None:
        self.settings = replace(self.settings, backend="workshop:players=41:seed=3")
        return super().setUp()

    async def test_all_are_there(self) -> None:
        """Whichever worker is asked, it lists and shows the sessions of all; the same seed gives the same ones."""
        for number in range(2):
            shards = Shards(number, 2)
            backend = WorkshopFactory().build_shard(steady(reactor), {"players": "41", "seed": "3"}, shards)
            backend.service.startService()
            self.addCleanup(backend.service.stopService)
            featured = backend.featured()
            assert featured is not None
            player_id, session_id = featured.player_id, featured.session_id
            self.assertTrue(shards.owns(player_id))
            path, headers = f"/players/{player_id}/sessions", {"Authorization": f"Bearer {token(player_id)}"}
            answer = await (await self.request("GET", path, headers=headers)).json()
            self.assertIn(str(session_id), answer["sessions"])
            await self.watch(session_id, player_id)
