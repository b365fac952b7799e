"""Tests for `craftnet.client.transports.udp`, over real datagrams from the server's own UDP side."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import cast
from uuid import UUID

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorFDSet, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from craftnet.client.core.address import Address
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.core.interfaces import ILink, ITransport
from craftnet.client.core.watch import Watch, WatchVerdict
from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.udp_connections import NO_EXCHANGE
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import IClock, steady
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.contract.messages import Status, to_json
from craftnet.crafting.state import Material, MaterialsChange, MaterialsState
from craftnet.crafting.updates import materials_update, progress_update
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.negotiation import PLAIN, Agreement, agree
from craftnet.protocols.udp.server.connection import Terms
from craftnet.protocols.udp.server.datagram_port import DatagramPort
from craftnet.protocols.udp.server.datagram_protocol import UdpServer
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE, Dispatcher
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.runtime.addresses import HostPort
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import TableResolver
from craftnet.tests.support.observers import EventRecorder, LinkRecorder
from craftnet.tests.support.samples import AT, COMPLETE, IRON, PLAYER, PROGRESS, SESSION, SHORT, TOKEN, running
from craftnet.tests.support.scripted_server import Answer, Play, ScriptedServer
from craftnet.tests.support.udp_lab import mixed

COMPLETED = replace(
    running(), version=9, progress=replace(running().progress, status=Status.COMPLETED, percent=100.0, remaining=0.0)
)


class Feeds:
    """Plays the hub: delivers to every watcher what the test wants."""

    def __init__(self, script: Callable[[ISubscriber], None]) -> None:
        self.script = script
        self.left: list[UUID] = []

    def subscribe_session(
        self, session_id: UUID, watcher: ISubscriber, resume: object = None, expected: bool = False
    ) -> Deferred[None]:
        """Deliver all of it."""
        self.script(watcher)
        return succeed(None)

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """Keep that."""
        self.left.append(session_id)


class NoSockets:
    """The reactor, but for UDP."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)

    def listenUDP(self, *arguments: object) -> IListeningPort:
        """Fail."""
        raise self._error


class NamedServer:
    """The reactor, but for the addresses of every host."""

    def __init__(self, *hosts: str) -> None:
        self.nameResolver = TableResolver(*hosts)

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)


class UdpTests(TestCase):
    """`UdpTransport`"""

    timeout = 10

    def connect_response(
        self, script: Callable[[ISubscriber], None] = lambda watcher: None, agreement: Agreement = PLAIN
    ) -> UdpConnectResponse:
        """Runs a UDP server whose hub delivers these updates; returns the connect answer that leads there."""
        self.feeds = Feeds(script)
        drawn = Random(1).randbytes
        clock, metrics, tickets = steady(reactor), Metrics(), TicketStore(drawn)
        endpoint = Dispatcher(tickets, secret=drawn(32), random=drawn, terms=Terms(20.0), count=lambda outcome: None)
        server = UdpServer(endpoint, self.feeds, metrics, clock)
        port = DatagramPort(HostPort("127.0.0.1", 0), server, MAX_RECEIVED_SIZE + 1, cast(IReactorFDSet, reactor))
        port.startListening()
        self.addCleanup(port.stopListening)
        now = clock.seconds()
        return UdpConnectResponse(
            session_token=tickets.issue(SESSION, PLAYER, agreement, now + 60, now).token.text,
            server_endpoint=f"127.0.0.1:{cast(IPv4Address, port.getHost()).port}",
            compression_enabled=agreement.compression is not None,
            compression="none" if agreement.compression is None else agreement.compression.name,
            negotiated_packet_size=agreement.content,
            heartbeat_interval=20_000,
        )

    def mute(self) -> str:
        """Where datagrams go and none come from."""
        port = cast(IReactorUDP, reactor).listenUDP(0, DatagramProtocol(), "127.0.0.1", 8192)
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{cast(IPv4Address, port.getHost()).port}"

    def serve(self, *script: Answer | Play | UdpConnectResponse) -> Address:
        """Run an HTTP server that plays this."""
        parts = [Answer(200, to_json(part)) if isinstance(part, UdpConnectResponse) else part for part in script]
        self.server = ScriptedServer(*parts)
        self.addCleanup(self.server.stop)
        return Address(self.server.url)

    def transport(self, address: Address, timeout: float = 5.0) -> UdpTransport:
        """Returns the transport under test."""
        return UdpTransport(steady(reactor), address, SESSION, PLAYER, TOKEN, timeout)

    async def ending(self, transport: UdpTransport) -> Ending:
        """How a link of the transport ends; what came before is in `recorder`."""
        self.recorder = LinkRecorder()
        transport.link().start(self.recorder)
        return await self.recorder.done

    async def test_a_session_to_its_end(self) -> None:
        def script(watcher: ISubscriber) -> None:
            watcher.deliver(progress_update(running(), AT))
            materials = MaterialsState(SESSION, 1, (Material(IRON, 1, None, SHORT),))
            watcher.deliver(materials_update(MaterialsChange(materials), AT))
            watcher.deliver(progress_update(COMPLETED, AT))
            watcher.ended(CloseCode.NORMAL)

        ending = await self.ending(self.transport(self.serve(self.connect_response(script))))
        self.assertEqual((self.recorder.events[0], self.recorder.events[-1]), ("opened", "ended"))
        # The protocol may send the first state or conflate it with the last.
        types = set(self.recorder.events[1:-1]) - {"progress_update"}
        self.assertEqual(types, {"crafting_complete", "material_notification"})
        self.assertEqual(ending.kind, EndingKind.OVER)

    async def test_a_server_that_exchanges_no_keys(self) -> None:
        """A transport that wants an exchange of keys does without UDP then."""
        address, clock = self.serve(self.connect_response()), steady(reactor)
        ending = await self.ending(UdpTransport(clock, address, SESSION, PLAYER, TOKEN, exchanges_keys=True))
        self.assertEqual((ending.kind, ending.reason), (EndingKind.LOST, NO_EXCHANGE))

    async def test_the_next_address_is_tried_when_one_stays_silent(self) -> None:
        """The name has an IPv6 address without a listener, and two of IPv4."""
        for hosts in (("::1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "::1")):
            connect_response = self.connect_response(lambda watcher: watcher.ended(CloseCode.NORMAL))
            port = connect_response.server_endpoint.rpartition(":")[2]
            address = self.serve(replace(connect_response, server_endpoint=f"game.example:{port}"))
            clock = cast(IClock, NamedServer(*hosts))
            ending = await self.ending(UdpTransport(clock, address, SESSION, PLAYER, TOKEN, 5.0))
            self.assertEqual((ending.kind, hosts), (EndingKind.OVER, hosts))

    async def test_a_compressed_table_in_several_parts(self) -> None:
        rows = (*mixed(190).materials, Material(IRON, 1, None, SHORT))

        def script(watcher: ISubscriber) -> None:
            watcher.deliver(materials_update(MaterialsChange(MaterialsState(SESSION, 1, rows)), AT))
            watcher.ended(CloseCode.NORMAL)

        for name in COMPRESSIONS:
            connect_response = self.connect_response(script, agree([name], 65_536, 500))
            ending = await self.ending(self.transport(self.serve(connect_response)))
            self.assertEqual(self.recorder.events, ["opened", "material_notification", "ended"])
            self.assertEqual(ending.kind, EndingKind.OVER)

    async def test_what_it_asks_for(self) -> None:
        await self.ending(
            self.transport(self.serve(self.connect_response(lambda watcher: watcher.ended(CloseCode.NORMAL))))
        )
        [(method, path, headers)] = self.server.requests
        self.assertEqual((method, path), ("POST", f"/udp/sessions/{SESSION}/connect"))
        self.assertEqual(headers["authorization"], f"Bearer {TOKEN}")

    async def test_going_away(self) -> None:
        connect_response = self.connect_response(lambda watcher: watcher.ended(CloseCode.GOING_AWAY))
        ending = await self.ending(self.transport(self.serve(connect_response)))
        self.assertEqual((ending.kind, ending.try_another_transport), (EndingKind.LOST, False))

    async def test_silence(self) -> None:
        mute = replace(self.connect_response(), server_endpoint=self.mute())
        ending = await self.ending(self.transport(self.serve(mute), timeout=0.05))
        self.assertEqual(ending, Ending(EndingKind.LOST, "no datagram arrives", None, True))
        self.assertEqual(self.recorder.events, ["ended"])

    async def test_refused(self) -> None:
        ending = await self.ending(self.transport(self.serve(Answer(404, b'{"code":404,"message":"No session."}'))))
        self.assertEqual(ending, Ending(EndingKind.REFUSED, "the server answered 404: No session", None, True))

    async def test_answers_that_lead_nowhere(self) -> None:
        connect_response = self.connect_response()
        for wrong in (
            replace(connect_response, server_endpoint="nowhere"),
            replace(connect_response, server_endpoint="no such host:1"),
            replace(connect_response, session_token="secret but wrong"),
        ):
            ending = await self.ending(self.transport(self.serve(wrong)))
            self.assertEqual((ending.kind, ending.try_another_transport), (EndingKind.LOST, True))
            self.assertNotIn("secret", ending.reason)

    async def fails_with(self, error: Exception) -> Ending:
        """How a link ends, and falls back, where the system gives no socket."""
        address = self.serve(self.connect_response())
        transport = UdpTransport(cast(IClock, NoSockets(error)), address, SESSION, PLAYER, TOKEN)
        return await self.ending(transport)

    async def test_no_socket(self) -> None:
        """Too many open files, or no IPv6: neither is an OSError by the time it gets here."""
        ending = await self.fails_with(CannotListenError("", 0, OSError(24, "Too many open files")))
        self.assertEqual((ending.kind, ending.try_another_transport), (EndingKind.LOST, True))
        self.assertIn("cannot use UDP", ending.reason)
        self.assertIn("Too many open files", ending.reason)

    async def test_a_bug_is_logged_and_ends_the_link(self) -> None:
        ending = await self.fails_with(ZeroDivisionError("a bug"))
        self.assertEqual(ending, Ending(EndingKind.LOST, "cannot use UDP: a bug", None, True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stop(self) -> None:
        link = self.transport(
            self.serve(self.connect_response(lambda watcher: watcher.deliver(progress_update(running(), AT))))
        ).link()
        recorder = LinkRecorder(then=link.stop)
        link.start(recorder)
        await until(lambda: self.feeds.left)
        self.assertEqual(recorder.events, ["opened", "progress_update"])

    async def test_stop_while_asking(self) -> None:
        link = self.transport(self.serve(self.connect_response())).link()
        recorder = LinkRecorder()
        link.start(recorder)
        link.stop()
        link.stop()
        self.assertEqual(recorder.events, [])

    async def test_falls_back_to_websocket_when_no_datagram_comes(self) -> None:
        address = self.serve(replace(self.connect_response(), server_endpoint=self.mute()), Play([PROGRESS, COMPLETE]))
        clock = steady(reactor)
        websocket = WebSocketTransport(clock, address, SESSION, PLAYER, TOKEN)
        observer = EventRecorder()
        watch = Watch(clock, SESSION, [self.transport(address, timeout=0.05), websocket], observer, Backoff())
        outcome = await watch.start()
        self.assertEqual(outcome.verdict, WatchVerdict.COMPLETED)
        self.assertEqual(
            observer.events,
            [
                ("connecting", "udp"),
                ("waiting", 0.0),
                ("connecting", "ws"),
                ("updated", "ws", 40.0),
                ("updated", "ws", 100.0),
            ],
        )
        await until(lambda: self.server.close_codes)

    def test_the_token_stays_out_of_reprs(self) -> None:
        transport = self.transport(Address("https://game.example"))
        self.assertNotIn(TOKEN, repr(transport) + repr(transport.link()))

    def test_interfaces(self) -> None:
        transport = self.transport(Address("https://game.example"))
        verifyObject(ITransport, transport)
        verifyObject(ILink, transport.link())
