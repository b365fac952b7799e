"""Tests what a running server refuses, over real sockets."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from craftnet.access.principal import ADMIN
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import ErrorResponse
from craftnet.limits.connection_limits import Limits
from craftnet.server.settings import Settings
from craftnet.tests.support.live import LiveTestCase, Peer, in_thread, started, token
from craftnet.tests.support.samples import OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


class RefusedHandshakeTests(LiveTestCase):
    """Every refusal has the contract's shape and changes nothing."""

    async def refused(self, path: str, bearer: str | None, **options: Any) -> tuple[int, Any]:
        """Status and headers of a handshake that is refused."""
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(path, bearer, **options)
        response = caught.exception.response
        body = msgspec.json.decode(response.body, type=ErrorResponse)
        self.assertEqual(body.code, response.status_code)
        self.assertTrue(body.message)
        return response.status_code, response.headers

    async def test_ids(self) -> None:
        for path in (
            f"/ws/crafting/not-a-uuid?player_id={PLAYER}",
            f"/ws/crafting/{SESSION}",
            f"/ws/crafting/{SESSION}?player_id=1",
            f"/ws/crafting/{SESSION}?player_id={PLAYER}&player_id={PLAYER}",
            "/ws/queue/x",
        ):
            self.assertEqual((await self.refused(path, token()))[0], 400, path)

    async def test_tokens(self) -> None:
        for bearer in (None, "garbage", token(ttl=-1.0), token()[:-2] + "xx"):
            status, headers = await self.refused(CRAFTING, bearer)
            self.assertEqual(status, 401)
            self.assertTrue(headers["WWW-Authenticate"].startswith('Bearer realm="'))

    async def test_another_players_session(self) -> None:
        await self.publish(started(player_id=OTHER_PLAYER))
        self.assertEqual((await self.refused(CRAFTING, token()))[0], 403)
        self.assertEqual((await self.refused(f"/ws/queue/{OTHER_PLAYER}", token()))[0], 403)
        self.assertEqual((await self.refused("/health/ws", token()))[0], 403)

    async def test_player_who_does_not_own_the_session(self) -> None:
        """Even an administrator must name the owner."""
        await self.publish(started(player_id=OTHER_PLAYER))
        self.assertEqual((await self.refused(CRAFTING, token(None, ADMIN)))[0], 403)

    async def test_unknown(self) -> None:
        self.assertEqual((await self.refused(CRAFTING, token()))[0], 404)
        self.assertEqual((await self.refused("/ws/nothing", token()))[0], 404)

    async def test_order(self) -> None:
        """404 of the route, 401, 400, 404 of the session, 403: the first that holds."""
        await self.publish(started())
        unsupported = {"subprotocols": ["mqtt"], "origin": self.url}
        for path, bearer, options, status in (
            ("/ws/nothing", None, unsupported, 404),
            ("/ws/crafting/x", None, unsupported, 401),
            ("/ws/crafting/x", token(ttl=-5), unsupported, 401),
            ("/health/ws?services=weather", None, {}, 401),
            (f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}", token(OTHER_PLAYER), unsupported, 400),
            (f"/ws/crafting/{OTHER_SESSION}", token(OTHER_PLAYER), {}, 400),
            (f"/ws/queue/{PLAYER}?resume=x", token(OTHER_PLAYER), {}, 400),
            ("/health/ws?services=weather", token(OTHER_PLAYER), {}, 400),
            (f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}", token(OTHER_PLAYER), {}, 404),
            (CRAFTING, token(OTHER_PLAYER), {}, 403),
        ):
            self.assertEqual((await self.refused(path, bearer, **options))[0], status, (path, bearer))

    async def test_subprotocols(self) -> None:
        await self.publish(started())
        status, _ = await self.refused(CRAFTING, None, subprotocols=[f"bearer.{token()}"])
        self.assertEqual(status, 400)
        status, _ = await self.refused(CRAFTING, token(), subprotocols=["ws"], origin=self.url)
        self.assertEqual(status, 400)

    async def test_subprotocols_of_other_servers(self) -> None:
        """The game's own clients offer these, and expect none to be selected."""
        await self.publish(started())
        for offered in (["ws"], ["health-monitoring-v1", f"bearer.{token()}"]):
            bearer = token() if len(offered) == 1 else None
            peer = await self.open(CRAFTING, bearer, subprotocols=offered)
            self.assertIsNone(peer.connection.subprotocol)
            self.assertEqual((await peer.receive())["type"], "progress_update")


class BrowserTokenTests(LiveTestCase):
    """A browser sends its token as a second subprotocol."""

    async def test_selected(self) -> None:
        """The first is selected; the token is not echoed."""
        await self.publish(started())
        for prefix in ("", "/api/v1/crafting-network"):
            peer = await self.open(prefix + CRAFTING, subprotocols=["craftnet.json.v1", f"bearer.{token()}"])
            self.assertEqual(peer.connection.subprotocol, "craftnet.json.v1")
            response = peer.connection.response
            assert response is not None
            self.assertNotIn("bearer", str(response.headers))
            self.assertEqual((await peer.receive())["type"], "progress_update")


class FullTests(LiveTestCase):
    """A server that takes two connections."""

    settings = Settings(http="tcp:0:interface=127.0.0.1", udp="off", limits=Limits(connections=2), drain_time=0.0)

    async def test_refused_with_429(self) -> None:
        """The third learns when to return; when one leaves, there is room."""
        peers = [await self.open(f"/ws/queue/{PLAYER}", token()) for _ in range(2)]
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(f"/ws/queue/{PLAYER}", token())
        response = caught.exception.response
        self.assertEqual(response.status_code, 429)
        for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            self.assertIn(name, response.headers)
        await peers[0].close()
        await self.open(f"/ws/queue/{PLAYER}", token())


class HostileClientTests(LiveTestCase):
    """Whatever comes in, the server answers properly and lives."""

    async def closed_with(self, peer: Peer) -> int:
        """The code that the server closes with."""
        with self.assertRaises(ConnectionClosed) as caught:
            while True:
                await peer.receive()
        received = caught.exception.rcvd
        assert received is not None
        return received.code

    async def test_messages(self) -> None:
        """A feed takes none."""
        for message in ("hello", b"\x00\x01"):
            peer = await self.open(f"/ws/queue/{PLAYER}", token())
            await peer.send(message)
            self.assertEqual(await self.closed_with(peer), CloseCode.POLICY_VIOLATION)

    async def test_oversized_message(self) -> None:
        peer = await self.open(f"/ws/queue/{PLAYER}", token())
        await peer.send("x" * 70_000)
        self.assertEqual(await self.closed_with(peer), CloseCode.MESSAGE_TOO_BIG)

    async def test_bad_utf8(self) -> None:
        peer = await self.open(f"/ws/queue/{PLAYER}", token())
        raw = Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True)
        await in_thread(peer.connection.socket.sendall, raw)
        self.assertEqual(await self.closed_with(peer), 1007)

    async def test_unmasked_frame(self) -> None:
        """RFC 6455 section 5.1."""
        peer = await self.open(f"/ws/queue/{PLAYER}", token())
        await in_thread(peer.connection.socket.sendall, Frame(Opcode.TEXT, b"hello").serialize(mask=False))
        self.assertEqual(await self.closed_with(peer), 1002)

    async def test_garbage_on_the_port(self) -> None:
        """Nothing of it keeps the next client from being served."""

        def send(octets: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10) as connection:
                connection.sendall(octets)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while data := connection.recv(65536):
                    answer += data
                return answer

        for octets in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\r\n" * 50,
            b"GET\r\n\r\n",
            b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
            b"\x00" * 20_000,
            b"GET /ws/queue/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ):
            answer = await in_thread(send, octets)
            if answer:
                self.assertRegex(answer, rb"^HTTP/1\.1 (4\d\d|505) ")
                msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=ErrorResponse)
        self.assertEqual((await self.request("GET", "/health")).code, 200)
