"""Whether an open feed may stay open: expiry, fresh tokens, revocation; and how it ends when the server does."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.tcp import Server
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus

from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client import Address, Backoff, UdpTransport, Watch, WatchVerdict
from craftnet.clocks import steady
from craftnet.contract.close_codes import CloseCode, retry_after
from craftnet.limits.connection_limits import Limits
from craftnet.protocols.feed.core import drain
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, Peer, dated, envelope, in_thread, started, token
from craftnet.tests.support.observers import EndingRecorder
from craftnet.tests.support.samples import IRON, OTHER_PLAYER, PLAYER, SESSION

QUEUE = f"/ws/queue/{PLAYER}"
CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def offer(text: str) -> str:
    """A token, in-band."""
    return msgspec.json.encode({"type": "token", "token": text}).decode()


class AccessTestCase(LiveTestCase):
    settings = Settings(http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", drain_time=0.0)

    async def closed(self, peer: Peer) -> tuple[int, str]:
        """How it ends, after whatever else."""
        with self.assertRaises(ConnectionClosed) as caught:
            while True:
                await peer.receive()
        assert caught.exception.rcvd is not None, "closed without a close frame"
        return caught.exception.rcvd.code, caught.exception.rcvd.reason

    async def answer(self, peer: Peer) -> dict[str, Any]:
        """The next message that is about tokens."""
        while True:
            message = await peer.receive()
            if message["type"].startswith("token_"):
                return message

    async def refused(self, bearer: str) -> int:
        """With which status a handshake is."""
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(QUEUE, bearer)
        return int(caught.exception.response.status_code)


class ExpiryTests(AccessTestCase):
    async def test_closed_when_the_token_expires(self) -> None:
        peer = await self.open(QUEUE, token(ttl=10.0))
        self.clock.advance(12)
        self.assertEqual((await self.closed(peer))[0], CloseCode.TOKEN_EXPIRED)

    async def test_a_fresh_token_keeps_it_open(self) -> None:
        """Past the end of the first one, events reach it."""
        await self.publish(started())
        brief = await self.open(CRAFTING, token(ttl=10.0))
        renewed = await self.open(CRAFTING, token(ttl=10.0))
        await renewed.receive()
        await renewed.send(offer(token(ttl=600)))
        answer = await self.answer(renewed)
        self.assertEqual(answer["type"], "token_accepted")
        self.assertTrue(590 <= answer["expires_in"] <= 601, answer)
        self.clock.advance(12)
        self.assertEqual((await self.closed(brief))[0], CloseCode.TOKEN_EXPIRED)
        await self.publish(
            envelope("crafting.session.pause", {"session_id": str(SESSION), "pause_reason": "player_afk"})
        )
        while (await renewed.receive())["progress_data"]["status"] != "paused":
            pass  # on a busy machine, the previous progress is repeated.

    async def test_tokens_that_will_not_do(self) -> None:
        """The feed continues with its token, and ends with it."""
        admin = await self.open(QUEUE, token(PLAYER, ADMIN, ttl=10.0))
        for text, code in (
            (token(OTHER_PLAYER, ADMIN), 403),
            (token(PLAYER), 403),
            (token(PLAYER, ADMIN, ttl=-5), 401),
            ("nonsense", 401),
        ):
            await admin.send(offer(text))
            answer = await self.answer(admin)
            self.assertEqual((answer["type"], answer["code"]), ("token_refused", code))
        self.clock.advance(12)
        self.assertEqual((await self.closed(admin))[0], CloseCode.TOKEN_EXPIRED)

    async def test_anything_else_is_a_violation(self) -> None:
        for message in ("hello", '{"type":"token"}', offer(token()).encode()):
            peer = await self.open(QUEUE, token())
            await peer.send(message)
            self.assertEqual((await self.closed(peer))[0], CloseCode.POLICY_VIOLATION)


class RevocationTests(AccessTestCase):
    async def revoke(self, bearer: str | None = None, **body: object) -> Any:
        """Ask for it; the response."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer or token(None, ADMIN)}"}
        return await self.request("POST", "/revocations", headers=headers, data=msgspec.json.encode(body))

    async def test_by_jti(self) -> None:
        now = reactor.seconds()
        one, other = await self.open(QUEUE, dated(now, "t-1")), await self.open(QUEUE, dated(now, "t-2"))
        response = await self.revoke(jti="t-1")
        self.assertEqual((response.code, (await response.json())["closed"]), (200, 1))
        self.assertEqual((await self.closed(one))[0], CloseCode.TOKEN_REVOKED)
        self.assertEqual(await self.refused(dated(now, "t-1")), 401)
        await other.send(offer(dated(now, "t-1")))
        self.assertEqual((await self.answer(other))["code"], 401)
        await self.open(QUEUE, dated(now, "t-3"))

    async def test_by_player(self) -> None:
        """Until the next login."""
        now = reactor.seconds()
        peers = [await self.open(QUEUE, dated(now - 5, f"t-{number}")) for number in range(2)]
        other = await self.open(f"/ws/queue/{OTHER_PLAYER}", dated(now - 5, "t-9", OTHER_PLAYER))
        response = await self.revoke(player_id=str(PLAYER))
        self.assertEqual((await response.json())["closed"], 2)
        for peer in peers:
            self.assertEqual((await self.closed(peer))[0], CloseCode.TOKEN_REVOKED)
        self.assertEqual(await self.refused(dated(now - 5, "t-7")), 401)
        await self.open(QUEUE, dated(now + 2, "t-8"))
        await other.send(offer(dated(now, "t-9", OTHER_PLAYER)))
        self.assertEqual((await self.answer(other))["type"], "token_accepted")

    async def test_udp(self) -> None:
        await self.publish(started())
        bearer = dated(reactor.seconds(), "t-1")
        body = msgspec.json.encode({"player_id": str(PLAYER), "client_version": "1.0.0"})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
        path = f"/udp/sessions/{SESSION}/connect"
        self.assertEqual((await self.request("POST", path, headers=headers, data=body)).code, 200)
        recorder = EndingRecorder()
        transport = UdpTransport(steady(reactor), Address(self.url), SESSION, PLAYER, bearer)
        watching = Watch(reactor, SESSION, [transport], recorder, Backoff(first=0.01)).start()
        await recorder.heard
        self.assertEqual((await (await self.revoke(jti="t-1")).json())["closed"], 1)
        self.assertEqual((await watching).verdict, WatchVerdict.REFUSED)
        self.assertEqual((await self.request("POST", path, headers=headers, data=body)).code, 401)

    async def test_permitted_callers(self) -> None:
        self.assertEqual((await self.revoke(token(PLAYER), player_id=str(PLAYER))).code, 403)
        self.assertEqual((await self.revoke("nonsense", player_id=str(PLAYER))).code, 401)

    async def test_what_it_takes(self) -> None:
        for body in ({}, {"jti": ""}, {"jti": "x" * 257}, {"player_id": "7"}, {"jti": "x", "expires": "2026-11-22"}):
            self.assertEqual((await self.revoke(**body)).code, 400, body)


class DrainTests(AccessTestCase):
    """The server stops while many watch."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="off", limits=Limits(per_player=0, per_session=0), drain_time=60.0
    )

    async def test_spread_with_a_time_to_come_back(self) -> None:
        """A craft that ends meanwhile is delivered to all remaining watchers."""
        pool = HTTPConnectionPool(reactor)  # keeps the connection
        authority = HTTPClient(Agent(reactor, pool=pool))
        await self.post(authority, started())
        peers = [await self.open(CRAFTING, token()) for _ in range(50)]
        stopping = self.service.stopService()
        completion = {"session_id": str(SESSION), "result_item_id": str(IRON), "duration_seconds": 60}
        await self.post(authority, envelope("crafting.session.complete", completion))
        ends = [await self.end(peer) for peer in peers]
        await stopping
        await pool.closeCachedConnections()
        await until(lambda: not any(isinstance(reader, Server) for reader in reactor.getReaders()))
        self.assertEqual({code for _, code, _ in ends}, {CloseCode.GOING_AWAY})
        waits = {retry_after(reason) for _, _, reason in ends}
        self.assertNotIn(None, waits)
        self.assertGreater(len(waits), 10)
        self.assertEqual(ends[-1][0], "crafting_complete")

    async def test_new_handshakes_are_refused(self) -> None:
        """Open connections get one more answer each; a handshake also learns when to return."""
        self.patch(drain, "CLOSES_PER_SECOND", 0.01)
        peer = await self.open(QUEUE, token())
        ready, live, handshake = [await in_thread(self.kept_alive) for _ in range(3)]
        stopping = self.service.stopService()
        for old, path, status in ((ready, "/ready", b"503"), (live, "/health/live", b"200")):
            answer = await in_thread(ask, old, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer)
            self.assertIn(b"\r\nConnection: close\r\n", answer)
        answer = await in_thread(
            ask,
            handshake,
            f"GET {QUEUE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token()}\r\n\r\n",
        )
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"\r\nRetry-After: ", answer)
        self.service.hurry()
        self.assertEqual((await self.closed(peer))[0], CloseCode.GOING_AWAY)
        await stopping

    def kept_alive(self) -> socket.socket:
        """A connection on which a request was answered."""
        old = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10)
        self.addCleanup(old.close)
        old.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"Connection: close" not in old.recv(65536)
        return old

    async def test_asked_twice(self) -> None:
        """A repeated request ends the drain at once."""
        self.patch(drain, "CLOSES_PER_SECOND", 0.01)
        peers = [await self.open(QUEUE, token()) for _ in range(3)]
        stopping = self.service.stopService()
        self.service.hurry()
        self.assertEqual([(await self.closed(peer))[0] for peer in peers], [CloseCode.GOING_AWAY] * 3)
        await stopping

    async def post(self, client: HTTPClient, *events: dict[str, Any]) -> None:
        headers = Headers({"Authorization": [f"Bearer {token(None, PUBLISH)}"], "Content-Type": ["application/json"]})
        response = await client.post(self.url + "/events", headers=headers, data=msgspec.json.encode(events))
        self.assertEqual(response.code, 202)
        await response.content()

    async def end(self, peer: Peer) -> tuple[str, int, str]:
        """The type of the last message, and how it was closed."""
        last = ""
        while True:
            try:
                last = (await peer.receive())["type"]
            except ConnectionClosed as error:
                assert error.rcvd is not None
                return last, error.rcvd.code, error.rcvd.reason


def ask(connection: socket.socket, request: str) -> bytes:
    """Everything that comes until the server closes."""
    connection.sendall(request.encode())
    with connection.makefile("rb") as stream:
        return stream.read()
