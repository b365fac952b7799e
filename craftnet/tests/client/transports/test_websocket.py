"""Tests for `craftnet.client.transports.websocket`, over real connections to a scripted server."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import provider
from zope.interface.verify import verifyObject

from craftnet.client.core.address import Address
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.core.interfaces import ILink, ILinkListener, ITransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.client.transports.websocket_link import HANDSHAKE_TIMEOUT, SILENCE_TIMEOUT
from craftnet.clocks import steady
from craftnet.contract.messages import to_json
from craftnet.contract.position import Position
from craftnet.crafting.updates import progress_update
from craftnet.protocols.websocket.core.compression import compress_message
from craftnet.protocols.websocket.core.dictionaries import NEWEST, dictionary
from craftnet.protocols.websocket.core.subprotocols import LZ4
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.observers import LinkRecorder
from craftnet.tests.support.samples import AT, COMPLETE, OTHER_SESSION, PLAYER, PROGRESS, SESSION, TOKEN, running
from craftnet.tests.support.scripted_server import Answer, Play, ScriptedServer


class LenientTransport(StringTransportWithDisconnection):
    """Like a real one, says nothing when there is no producer to unregister."""

    def unregisterProducer(self) -> None:
        """Nothing."""


class WebSocketTests(TestCase):
    """`WebSocketTransport`"""

    timeout = 10

    def serve(self, *script: Answer | Play) -> WebSocketTransport:
        """A transport to a server that plays this."""
        self.server = ScriptedServer(*script)
        self.addCleanup(self.server.stop)
        return self.transport(self.server.url)

    def transport(self, url: str) -> WebSocketTransport:
        """A transport to this server."""
        return WebSocketTransport(steady(reactor), Address(url), SESSION, PLAYER, TOKEN)

    async def ending(self, transport: WebSocketTransport, resume: Position | None = None) -> Ending:
        """How a link of the transport ends; what came before is in `recorder`."""
        self.recorder = LinkRecorder()
        transport.link(resume).start(self.recorder)
        return await self.recorder.done

    async def test_a_session_to_its_end(self) -> None:
        ending = await self.ending(self.serve(Play([PROGRESS, COMPLETE], code=1000)))
        self.assertEqual(self.recorder.events, ["opened", "progress_update", "crafting_complete", "ended"])
        self.assertEqual(ending.kind, EndingKind.OVER)

    async def test_what_it_asks_for(self) -> None:
        await self.ending(self.serve(Play(code=1000)))
        [(method, path, headers)] = self.server.requests
        self.assertEqual((method, path), ("GET", f"/ws/crafting/{SESSION}?player_id={PLAYER}&expected=1"))
        self.assertEqual(headers["authorization"], f"Bearer {TOKEN}")
        self.assertEqual(headers["sec-websocket-protocol"].replace(" ", ""), "craftnet.json.lz4.v1,craftnet.json.v1")

    async def test_compressed_messages(self) -> None:
        """Whatever frame a message comes in."""
        compressed = compress_message(PROGRESS, dictionary(NEWEST))
        ending = await self.ending(self.serve(Play([compressed], code=1000, binary=True, subprotocol=LZ4)))
        self.assertEqual((self.recorder.events, ending.kind), (["opened", "progress_update", "ended"], EndingKind.OVER))
        await self.ending(self.serve(Play([PROGRESS], code=1000, subprotocol=LZ4)))
        self.assertEqual(self.recorder.events, ["opened", "progress_update", "ended"])

    async def test_badly_compressed_message(self) -> None:
        for octets in (b"", b"\1\xff\xff\xff", compress_message(PROGRESS, dictionary(NEWEST))[:-1]):
            ending = await self.ending(self.serve(Play([octets], binary=True, subprotocol=LZ4)))
            self.assertEqual((self.recorder.events, ending.kind), (["opened", "ended"], EndingKind.LOST))

    async def test_a_dictionary_of_a_later_server(self) -> None:
        """It is said, and the next attempt asks for JSON as it is."""
        later = b"\xc8" + compress_message(PROGRESS, dictionary(NEWEST))[1:]
        transport = self.serve(Play([later], binary=True, subprotocol=LZ4), Play([PROGRESS], code=1000))
        ending = await self.ending(transport)
        self.assertEqual(ending.kind, EndingKind.LOST)
        self.assertIn("There is no dictionary 200", ending.reason)
        await self.ending(transport)
        self.assertEqual(self.recorder.events, ["opened", "progress_update", "ended"])
        self.assertEqual(self.server.requests[1][2]["sec-websocket-protocol"], "craftnet.json.v1")

    async def test_coming_back(self) -> None:
        """Every message has a position, from which the next link continues."""
        positioned = [PROGRESS[:-1] + b',"epoch":"6c0ffee","version":%d}' % version for version in (41, 42)]
        transport = self.serve(Play(positioned, code=1001), Play(code=1001), Play(code=1000))
        await self.ending(transport)
        self.assertEqual(self.recorder.positions, [Position("6c0ffee", 41), Position("6c0ffee", 42)])
        await self.ending(transport, Position("6c0ffee", 42))
        await self.ending(transport, Position("6c0ffee", 43, over_udp=True))
        paths = [path for _, path, _ in self.server.requests]
        self.assertNotIn("resume", paths[0])
        self.assertTrue(paths[1].endswith("resume=6c0ffee%3A42"), paths[1])
        self.assertTrue(paths[2].endswith("resume=6c0ffee%3A43%3Audp"), paths[2])

    async def test_under_a_prefix(self) -> None:
        self.serve(Play(code=1000))
        await self.ending(self.transport(f"{self.server.url}/api/v1/crafting-network"))
        self.assertTrue(self.server.requests[0][1].startswith("/api/v1/crafting-network/ws/crafting/"))

    async def test_a_refusal_in_the_server_s_words(self) -> None:
        body = b'{"code":401,"message":"The token has expired."}'
        ending = await self.ending(self.serve(Answer(401, body)))
        self.assertEqual(
            ending, Ending(EndingKind.REFUSED, "the server answered 401: The token has expired", stale=True)
        )
        self.assertEqual(self.recorder.events, ["ended"])

    async def test_too_many_requests(self) -> None:
        ending = await self.ending(self.serve(Answer(429, b"{}", {"Retry-After": "3"})))
        self.assertEqual((ending.kind, ending.retry_after), (EndingKind.LOST, 3.0))

    async def test_going_away(self) -> None:
        ending = await self.ending(self.serve(Play([PROGRESS], code=1001)))
        self.assertEqual(ending, Ending(EndingKind.LOST, "the server closed the connection: going away (1001)"))

    async def test_a_dropped_connection(self) -> None:
        ending = await self.ending(self.serve(Play([PROGRESS], drop=True)))
        self.assertEqual(ending.kind, EndingKind.LOST)

    async def test_connection_refused(self) -> None:
        transport = self.serve(Play())
        await self.server.stop()
        ending = await self.ending(transport)
        self.assertEqual(ending.kind, EndingKind.LOST)
        self.assertTrue(ending.reason.startswith("cannot connect: "))

    async def test_junk(self) -> None:
        stranger = to_json(progress_update(running(OTHER_SESSION), AT).messages[0])
        for junk in (b"{", b"[]", b'{"type":"progress_update"}', stranger, b'{"x":' + b"[" * 60_000):
            ending = await self.ending(self.serve(Play([junk, PROGRESS])))
            self.assertEqual(ending, Ending(EndingKind.LOST, "the server sent an invalid message"))
            self.assertEqual(self.recorder.events, ["opened", "ended"])

    async def test_binary_junk(self) -> None:
        ending = await self.ending(self.serve(Play([PROGRESS], binary=True)))
        self.assertEqual(ending.kind, EndingKind.LOST)
        self.assertEqual(self.recorder.events, ["opened", "ended"])

    async def test_a_message_without_end(self) -> None:
        ending = await self.ending(self.serve(Play([b" " * 70_000 + PROGRESS])))
        self.assertEqual(ending.kind, EndingKind.LOST)
        self.assertEqual(self.recorder.events, ["opened", "ended"])

    async def test_fields_that_a_later_server_adds(self) -> None:
        newer = PROGRESS[:-1] + b',"later":7,"more":{"x":[1]}}'
        await self.ending(self.serve(Play([newer], code=1000)))
        self.assertEqual(self.recorder.events, ["opened", "progress_update", "ended"])

    async def test_stop(self) -> None:
        link = self.serve(Play([PROGRESS, PROGRESS])).link()
        recorder = LinkRecorder(then=link.stop)
        link.start(recorder)
        await until(lambda: self.server.close_codes)
        self.assertEqual(recorder.events, ["opened", "progress_update"])
        self.assertEqual(self.server.close_codes, [1000])

    async def test_stop_while_connecting(self) -> None:
        link = self.serve(Play()).link()
        recorder = LinkRecorder()
        link.start(recorder)
        link.stop()
        link.stop()
        self.assertEqual(recorder.events, [])

    async def test_the_token_stays_out_of_logs_and_reprs(self) -> None:
        logged: list[str] = []

        @provider(ILogObserver)
        def observer(event: dict[str, object]) -> None:
            logged.append(f"{formatEvent(event)} {event}")

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        transport = self.serve(Answer(401), Play([b"{"]))
        link = transport.link()
        for _ in range(2):
            await self.ending(transport)
        self.assertNotIn(TOKEN, "".join([*logged, repr(transport), repr(link)]))

    def connected(self) -> tuple[SteppedReactor, LinkRecorder, LenientTransport, Protocol]:
        """A link to a server that the test plays octet by octet."""
        clock = SteppedReactor()
        recorder = LinkRecorder()
        WebSocketTransport(clock, Address("ws://127.0.0.1:8080"), SESSION, PLAYER, TOKEN).link().start(recorder)
        connection = cast(Protocol, clock.tcpClients[0][2].buildProtocol(IPv4Address("TCP", "127.0.0.1", 8080)))
        transport = LenientTransport()
        transport.protocol = connection
        connection.makeConnection(transport)
        return clock, recorder, transport, connection

    def test_a_refusal_in_pieces(self) -> None:
        _, recorder, transport, connection = self.connected()
        body = b'{"code":404,"message":"There is no such session."}'
        answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for octet in answer[:-1]:
            connection.dataReceived(bytes([octet]))
        self.assertTrue(transport.connected)
        connection.dataReceived(answer[-1:])
        self.assertFalse(transport.connected)
        ending = Ending(EndingKind.REFUSED, "the server answered 404: There is no such session")
        self.assertEqual(self.successResultOf(recorder.done), ending)

    def test_slow_handshake_response(self) -> None:
        """A server that drips its answer has no longer for it."""
        clock, recorder, transport, connection = self.connected()
        clock.advance(HANDSHAKE_TIMEOUT - 1)
        connection.dataReceived(b"HTTP/1.1 ")
        self.assertTrue(transport.connected)
        clock.advance(1)
        self.assertEqual(self.successResultOf(recorder.done), Ending(EndingKind.LOST, "the server is silent"))
        self.assertFalse(transport.connected)

    def test_silence(self) -> None:
        """Once it is open, a connection on which nothing comes is given up."""
        clock, recorder, transport, connection = self.connected()
        key = transport.value().partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        key += b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3.
        connection.dataReceived(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + b64encode(sha1(key).digest()) + b"\r\n\r\n"
        )
        clock.advance(SILENCE_TIMEOUT - 1)
        connection.dataReceived(b"\x89\x00")  # a ping
        clock.advance(SILENCE_TIMEOUT - 1)
        self.assertTrue(transport.connected)
        clock.advance(1)
        self.assertEqual(self.successResultOf(recorder.done), Ending(EndingKind.LOST, "the server is silent"))
        self.assertFalse(transport.connected)

    def test_interfaces(self) -> None:
        transport = self.transport("wss://game.example")
        verifyObject(ITransport, transport)
        verifyObject(ILink, transport.link())
        verifyObject(ILinkListener, LinkRecorder())
