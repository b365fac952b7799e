"""How a web page learns why its handshake was refused: by a close code, because it cannot see an HTTP status."""

from __future__ import annotations

import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Server
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.contract.close_codes import (
    MAX_REASON_BYTES,
    NO_RETRY_CODES,
    STALE_TOKEN_CODES,
    CloseCode,
    close_for_refusal,
    retry_after,
)
from craftnet.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Refusal,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UpgradeRequired,
)
from craftnet.interfaces import ITokenVerifier
from craftnet.limits.client_address import NO_NETWORKS
from craftnet.limits.connection_limits import Limits
from craftnet.limits.origins import Origins
from craftnet.protocols.feed.core import drain
from craftnet.protocols.websocket.core.subprotocols import BINARY, JSON, LZ4
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.feed_wire import SITE, FeedServer
from craftnet.tests.support.live import LiveTestCase, in_thread, started, token
from craftnet.tests.support.samples import OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION

QUEUE = f"/ws/queue/{PLAYER}"
CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"
SUBPROTOCOLS = (JSON, LZ4, BINARY)
TAUGHT = "HTTP/1.1 101 Switching Protocols"
"""The status line for a page that learns of its refusal afterwards."""


@implementer(ITokenVerifier)
class SilentAuthority:
    """Never says whether a token holds."""

    def authenticate(self, token: str) -> Deferred[Principal]:
        """Wait for ever."""
        return Deferred()


class CodeTests(SynchronousTestCase):
    """`close_for_refusal`"""

    LIMITED = TooManyRequests("Slowly.", retry_after=7, limit=1)

    def test_each_has_a_code_of_its_own(self) -> None:
        statuses = [
            close_for_refusal(refusal)
            for refusal in (
                BadRequest("The id is no uuid."),
                Unauthorized("The token has expired."),
                Forbidden("The session is another player's."),
                NotFound("There is no such session."),
                self.LIMITED,
                Unavailable("The server is shutting down.", retry_after=5),
            )
        ]
        self.assertEqual(
            statuses,
            [
                (4400, "The id is no uuid."),
                (4401, "The token has expired."),
                (4403, "The session is another player's."),
                (4404, "There is no such session."),
                (4429, "retry in 7.0 s"),
                (4453, "retry in 5.0 s"),
            ],
        )
        self.assertEqual(NO_RETRY_CODES & {code for code, _ in filter(None, statuses)}, {4400, 4403, 4404})
        self.assertIn(4401, STALE_TOKEN_CODES)

    def test_no_other(self) -> None:
        for refusal in (Refusal("?"), MethodNotAllowed(["GET"]), UpgradeRequired()):
            self.assertIsNone(close_for_refusal(refusal))

    @settings(deadline=None, derandomize=True)
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
    def test_reasons_fit_a_close_frame(self, message: str) -> None:
        statuses = close_for_refusal(NotFound(message))
        assert statuses is not None
        self.assertLessEqual(len(statuses[1].encode()), MAX_REASON_BYTES)
        self.assertTrue(message.startswith(statuses[1]))


class WireTests(SynchronousTestCase):
    """Pages and programs, on a clock."""

    def setUp(self) -> None:
        self.server = FeedServer(Limits(per_player=1, refused_pages=2), Origins([SITE, "https://game.example"]))

    def page(self, target: str = QUEUE, bearer: str = "other", subprotocol: str | None = JSON) -> tuple[int, str]:
        """How a page learns that it is refused."""
        wire = self.server.wire(target, bearer, subprotocol, Origin=SITE)
        self.assertEqual(wire.head(), TAUGHT)
        closing = wire.closing()
        wire.loseConnection()
        return closing

    def test_why(self) -> None:
        self.server.opened(QUEUE)
        for target, bearer, code, label in (
            ("/ws/queue/nonsense", "player", CloseCode.BAD_REQUEST, "bad_request"),
            (QUEUE + "?resume=nonsense", "player", CloseCode.BAD_REQUEST, "bad_request"),
            (QUEUE, "nonsense", CloseCode.UNAUTHORIZED, "unauthorized"),
            (QUEUE, "", CloseCode.UNAUTHORIZED, "unauthorized"),
            (QUEUE, "other", CloseCode.FORBIDDEN, "forbidden"),
            ("/health/ws", "player", CloseCode.FORBIDDEN, "forbidden"),
            (f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}", "player", CloseCode.NOT_FOUND, "not_found"),
            ("/ws/nowhere", "player", CloseCode.NOT_FOUND, "not_found"),
            (QUEUE, "player", CloseCode.RATE_LIMITED, "rate_limited"),
        ):
            before = self.server.refusals(label)
            statuses, reason = self.page(target, bearer)
            self.assertEqual(statuses, code, target)
            self.assertEqual(self.server.refusals(label), before + 1, target)
            self.assertEqual(retry_after(reason) is not None, code == CloseCode.RATE_LIMITED)

    def test_in_every_subprotocol(self) -> None:
        for subprotocol in SUBPROTOCOLS:
            self.assertEqual(self.page(subprotocol=subprotocol)[0], CloseCode.FORBIDDEN)

    def test_clients_that_get_the_status(self) -> None:
        """Programs, pages of other sites, and those who offer nothing that a browser may be answered."""
        for origin, subprotocol, status in (
            (None, JSON, 403),
            ("https://evil.example", JSON, 403),
            ("https://", JSON, 403),
            ("null", JSON, 403),
            (SITE, None, 400),
            (SITE, "unheard.of", 400),
            (SITE, "", 401),
        ):
            fields = {} if origin is None else {"Origin": origin}
            wire = self.server.wire(QUEUE, None if subprotocol == "" else "other", subprotocol, **fields)
            self.assertTrue(wire.head().startswith(f"HTTP/1.1 {status} "), (origin, subprotocol))
            self.assertFalse(wire.connected)

    def test_takes_no_slot(self) -> None:
        for _ in range(3):
            self.page()
            self.page(bearer="nonsense")
        self.page("/ws/queue/" + str(PLAYER), "other")
        self.server.wire(QUEUE, "other", Origin=SITE)  # it is still being closed.
        self.assertEqual(len(self.server.factory.gate.occupancy), 0)
        self.server.opened(QUEUE)
        self.assertEqual(len(self.server.connections.open), 1)

    def test_a_client_that_does_not_close_is_dropped(self) -> None:
        """Whatever it sends meanwhile; and it is counted once."""
        wire = self.server.wire(QUEUE, "other", Origin=SITE)
        for payload in (b"", b'{"type":"token","token":"player"}'):
            wire.protocol.dataReceived(Frame(Opcode.TEXT, payload).serialize(mask=True))
        self.server.clock.advance(1.0)
        self.assertTrue(wire.connected)
        self.server.clock.advance(1.0)
        self.assertFalse(wire.connected)
        self.assertEqual(self.server.refusals("forbidden"), 1)
        self.assertEqual(self.server.refusals("unexpected_message"), 0)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_hangs_up(self) -> None:
        wire = self.server.wire(QUEUE, "other", Origin=SITE)
        wire.protocol.dataReceived(Frame(Opcode.CLOSE, b"\x11\x33").serialize(mask=True))
        self.assertFalse(wire.connected)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_bounded_in_number(self) -> None:
        """A further one gets the HTTP status, until one is gone."""
        statuses = [self.server.wire(QUEUE, "other", Origin=SITE) for _ in range(2)]
        self.assertEqual([wire.head() for wire in statuses], [TAUGHT] * 2)
        further = self.server.wire(QUEUE, "other", Origin=SITE)
        self.assertEqual(further.head(), "HTTP/1.1 403 Forbidden")
        statuses[0].loseConnection()
        self.assertEqual(self.page()[0], CloseCode.FORBIDDEN)
        self.assertEqual(self.server.refusals("forbidden"), 4)

    def test_an_answer_that_takes_too_long(self) -> None:
        """The decision does not arrive: the page is asked to return, and no slot is taken."""
        self.server = FeedServer(authority=SilentAuthority())
        wire = self.server.wire(QUEUE, Origin=SITE)
        self.assertEqual((wire.value(), len(self.server.factory.gate.occupancy)), (b"", 1))
        self.server.clock.advance(Limits().handshake_timeout)
        self.assertEqual(wire.head(), TAUGHT)
        self.assertEqual(wire.closing(), (CloseCode.UNAVAILABLE, "retry in 1.0 s"))
        self.assertEqual(len(self.server.factory.gate.occupancy), 0)
        self.assertEqual(self.server.refusals("unavailable"), 1)

    def test_an_origin_that_only_an_option_admits(self) -> None:
        """Autobahn would refuse these itself, or misread them."""
        for option, origin in (
            ("null", "null"),
            ("file://", "file://"),
            ("app://", "app://"),
            ("*", "https://[::"),
            ("*", "https://"),
            ("https://*.game.example", "https://shop.game.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ):
            self.server = FeedServer(origins=Origins([option]))
            wire = self.server.wire(QUEUE, Origin=origin)
            self.assertEqual(wire.head(), TAUGHT, origin)
            self.assertEqual(wire.frames(), [])
            self.server = FeedServer(origins=Origins(["https://game.example"]))
            wire = self.server.wire(QUEUE, Origin=origin)
            self.assertEqual(wire.head(), "HTTP/1.1 403 Forbidden", origin)

    def test_a_field_hidden_in_another(self) -> None:
        """ISO-8859-1 has a character that Python takes for the end of a line."""
        wire = self.server.wire(QUEUE, X_a=f"a\x85Origin: {SITE}", Origin="https://evil.example")
        self.assertEqual(wire.head(), "HTTP/1.1 403 Forbidden")


class LiveTests(LiveTestCase):
    """Over real sockets."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="off",
        limits=Limits(handshakes=0.5, unlimited=NO_NETWORKS),
        drain_time=60.0,
    )

    async def updated(self, path: str, bearer: str, subprotocol: str = JSON) -> tuple[int, str]:
        """How a page learns that it is refused."""
        offered = [Subprotocol(subprotocol), Subprotocol(f"bearer.{bearer}")]
        peer = await self.open(path, origin=self.url, subprotocols=offered)
        self.assertEqual(peer.connection.subprotocol, subprotocol)
        with self.assertRaises(ConnectionClosed) as caught:
            await peer.receive()
        assert caught.exception.rcvd is not None
        return caught.exception.rcvd.code, caught.exception.rcvd.reason

    async def test_refused_connections_are_closed(self) -> None:
        """Two for what they request, the next for the rate of the address; none stays."""
        await self.publish(started())
        self.assertEqual(await self.updated(CRAFTING, token(OTHER_PLAYER)), (4403, "The session is another player's."))
        self.assertEqual((await self.updated(CRAFTING, "nonsense", LZ4))[0], CloseCode.UNAUTHORIZED)
        code, reason = await self.updated(CRAFTING, token())
        self.assertEqual(code, CloseCode.RATE_LIMITED)
        self.assertIsNotNone(retry_after(reason))
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(CRAFTING, token())
        self.assertEqual(caught.exception.response.status_code, 429)
        await until(lambda: not any(isinstance(reader, Server) for reader in reactor.getReaders()))

    async def test_while_the_server_stops(self) -> None:
        """On a connection that a proxy kept open."""
        self.patch(drain, "CLOSES_PER_SECOND", 0.01)
        peer = await self.open(QUEUE, token())
        old = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=10)
        self.addCleanup(old.close)
        old.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await in_thread(old.recv, 65536)
        stopping = self.service.stopService()
        old.sendall(
            f"GET {QUEUE} HTTP/1.1\r\nHost: {self.url[7:]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Origin: {self.url}\r\nSec-WebSocket-Protocol: {JSON}, bearer.{token()}\r\n\r\n".encode()
        )

        def closing() -> bytes:
            octets = b""
            while b"\r\n\r\n\x88" not in octets or not octets.endswith(b" s"):
                octets += old.recv(65536)
            return octets

        answer = await in_thread(closing)
        self.assertTrue(answer.startswith(TAUGHT.encode()), answer)
        self.assertTrue(answer.endswith(b"\x88\x10\x11\x65retry in 5.0 s"), answer)
        self.service.hurry()
        await peer.close()
        await stopping
