from __future__ import annotations

import errno
from math import inf
from typing import cast
from uuid import UUID

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port as UdpPort
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState
from craftnet.crafting.updates import Update, materials_snapshot, progress_update
from craftnet.errors import Unavailable
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.client.connection import ClientConnection, Closed, Connected, Event, Output
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PLAIN, agreed
from craftnet.protocols.udp.server.datagram_protocol import UdpServer
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE
from craftnet.protocols.udp.server.service import IReactor, UdpService
from craftnet.protocols.wire.records import CloseReason
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.one_session import OneSession
from craftnet.tests.support.samples import AT, IRON, NOW, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, HEARTBEAT, FakeTransport, Lab, table

reactor = cast("IReactor", installed)  # the module stands for the reactor.


class ShellTests(SynchronousTestCase):
    """The shell on a fake transport."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.feeds = OneSession()
        self.metrics = Metrics()
        self.server = UdpServer(self.lab.endpoint, self.feeds, self.metrics, self.clock)
        self.transport = FakeTransport()
        self.server.makeConnection(self.transport)
        self.client = self.lab.client_connection(self.lab.ticket(packet_size=1200))

    def _deliver(self, output: Output) -> list[Event]:
        """Everything that the client receives until both sides are silent."""
        events = list(output.events)
        for datagram in output.datagrams:
            self.server.datagramReceived(datagram, CLIENT)
        for datagram in self.transport.taken():
            events += self._deliver(self.client.receive(datagram, self.clock.seconds()))
        return events

    def _connect(self) -> list[Event]:
        return self._deliver(self.client.start(NOW))

    def _metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def test_a_client_hears_of_its_session_at_once(self) -> None:
        events = self._connect()
        self.assertEqual(
            [type(event) for event in events if not isinstance(event, Connected)], [ProgressChanged, MaterialsChanged]
        )
        self.assertEqual(self._metric("craftnet_connections", transport="udp"), 1)
        self.assertEqual(self._metric("craftnet_deliveries_total", transport="udp"), 2)
        self.assertEqual(self._metric("craftnet_event_to_delivery_seconds_count", transport="udp"), 0)

    def test_an_update_is_measured_from_its_event(self) -> None:
        self._connect()
        update = progress_update(running(percent=50.0), AT)
        self.feeds.watchers[0].deliver(Update(update.state, update.messages, accepted=NOW - 0.25))
        self.assertEqual(self._metric("craftnet_event_to_delivery_seconds_sum", transport="udp"), 0.25)
        (datagram,) = self.transport.taken()
        (event,) = self.client.receive(datagram, NOW).events
        assert isinstance(event, ProgressChanged)
        self.assertEqual(event.progress.percent, 50.0)

    def test_what_udp_does_not_carry_is_ignored(self) -> None:
        self._connect()
        self.feeds.watchers[0].deliver(Update(None, ()))
        self.assertEqual(self.transport.taken(), [])

    def test_a_state_beyond_the_protocol_ends_the_connection_and_raises_nothing(self) -> None:
        self._connect()
        rows = tuple(Material(IRON) for _ in range(65_536))
        self.feeds.watchers[0].deliver(materials_snapshot(MaterialsState(SESSION, 2, rows), AT))
        (event,) = self._deliver(Output([], []))[:1] or self._settle()
        self.assertEqual(event, Closed(CloseReason.INTERNAL_ERROR))

    def _settle(self, seconds: float = 1.0) -> list[Event]:
        """Everything received in the following time."""
        events: list[Event] = []
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            now = self.clock.seconds()
            output = self.client.tick(now) if self.client.deadline <= now else Output([], [])
            events += self._deliver(output)
        return events

    def test_the_end_of_the_feed_closes_the_connection(self) -> None:
        self._connect()
        (watcher,) = self.feeds.watchers
        watcher.ended(CloseCode.NORMAL)
        self.assertEqual(self._settle(), [Closed(CloseReason.ENDED)])
        self.assertEqual(self.feeds.watchers, [])
        self.assertEqual(self._metric("craftnet_connections", transport="udp"), 0)
        watcher.deliver(progress_update(running(), AT))
        watcher.ended(CloseCode.NORMAL)
        self.assertEqual(self.transport.taken(), [])

    def test_no_such_session(self) -> None:
        ticket = self.lab.tickets.issue(OTHER_SESSION, PLAYER, PLAIN, NOW + 100, NOW)
        self.client = self.lab.client_connection(ticket)
        self.assertIn(Closed(CloseReason.NOT_FOUND), self._connect())

    def test_a_feed_that_cannot_be_had(self) -> None:
        self.feeds.answer = lambda: fail(Unavailable("The store is out of reach."))
        self.assertIn(Closed(CloseReason.INTERNAL_ERROR), self._connect() + self._settle())
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self._metric("craftnet_refusals_total", reason="unavailable"), 1)

    def test_gone_before_the_feed_is_there(self) -> None:
        answer: Deferred[None] = Deferred()
        self.feeds.answer = lambda: answer
        self._connect()
        (watcher,) = self.feeds.watchers
        self._deliver(self.client.close())
        self.assertEqual(self.feeds.watchers, [])
        self.feeds.watchers.append(watcher)  # a hub that takes it in only now.
        answer.callback(None)
        self.assertEqual(self.feeds.watchers, [])

    def test_one_timer_for_all_connections(self) -> None:
        self._connect()
        for _ in range(5):
            self.client = self.lab.client_connection(self.lab.ticket())
            self._connect()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(3 * HEARTBEAT + 1)
        self.assertEqual(self._metric("craftnet_connections", transport="udp"), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_writes_that_fail_are_counted_and_no_more(self) -> None:
        self._connect()
        errors = [
            OSError(errno.EAGAIN, "would block"),
            OSError(errno.ENOBUFS, "no buffers"),
            OSError(errno.ENETUNREACH, "unreachable"),
            OSError(errno.EMSGSIZE, "too long"),
            OSError(errno.EAFNOSUPPORT, "wrong family"),
        ]
        for number, error in enumerate(errors, 1):
            self.transport.error = error
            self.feeds.watchers[0].deliver(progress_update(running(percent=number), AT))
        self.assertEqual(self._metric("craftnet_datagrams_total", outcome="unsent"), len(errors))

    def test_a_fault_of_ours_is_not_logged_for_every_datagram(self) -> None:
        def broken(session_id: UUID, watcher: ISubscriber, *more: object) -> Deferred[None]:
            raise ZeroDivisionError

        self.feeds.subscribe_session = broken  # type: ignore[assignment,method-assign]  # a hub with a fault.
        with capturedLogs() as logged:
            for _ in range(9):
                ticket = self.lab.tickets.issue(UUID(int=1), UUID(int=_), PLAIN, NOW + 9, NOW)
                self.client = self.lab.client_connection(ticket)
                self._connect()
        self.assertEqual(self._metric("craftnet_datagrams_total", outcome="failed"), 9)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)
        lines = [one for one in logged if "could not be handled" in formatEvent(one)]
        self.assertRegex(lines[0]["connection_id"], r"udp\.[0-9a-f]{8}$")

    def test_a_fault_is_logged_with_its_ids(self) -> None:
        self.feeds.answer = lambda: fail(ZeroDivisionError())
        with capturedLogs() as logged:
            self._connect()
        [line] = [each for each in logged if each["log_format"] == "a session cannot be watched"]
        self.assertEqual((line["session_id"], line["player_id"]), (SESSION, PLAYER))
        self.assertRegex(line["connection_id"], r"udp\.[0-9a-f]{8}$")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopping_leaves_no_calls_behind(self) -> None:
        self._connect()
        self.server.shut_down()
        self.server.stopProtocol()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.feeds.watchers, [])


class Player(DatagramProtocol):
    """The initiator on a real socket."""

    def __init__(self, clock: IReactorTime, response: UdpConnectResponse, server: tuple[str, int]) -> None:
        self.client_connection = ClientConnection(
            SessionToken.parse(response.session_token),
            {0: SESSION},
            heartbeat=response.heartbeat_interval / 1000,
            agreement=agreed(response),
        )
        self._clock = clock
        self._server = server
        self.events: list[Event] = []
        self.changed: Deferred[None] = Deferred()

    def startProtocol(self) -> None:
        """Knock."""
        self._take(self.client_connection.start(self._clock.seconds()))

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """From the server."""
        self._take(self.client_connection.receive(datagram, self._clock.seconds()))

    def tick(self) -> None:
        """Does at once what is due soon."""
        if self.client_connection.deadline < inf:
            self._take(self.client_connection.tick(self.client_connection.deadline))

    def _take(self, output: Output) -> None:
        assert self.transport is not None
        for datagram in output.datagrams:
            self.transport.write(datagram, self._server)
        self.events += output.events
        if output.events:
            changed, self.changed = self.changed, Deferred()
            changed.callback(None)


class SocketTests(TestCase):
    """Gateway and client over real sockets."""

    timeout = 10  # seconds; it takes a few milliseconds.

    async def _play(self, host: str, listen: str | None = None) -> None:
        feeds, metrics = OneSession(), Metrics()
        gateway = UdpService(HostPort(host if listen is None else listen, 0), None, feeds, metrics, reactor)
        gateway.privilegedStartService()
        gateway.startService()
        server = (host, int(gateway.address.rpartition(":")[2]))
        now = reactor.seconds()
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0", max_packet_size=100)
        response = gateway.connect(SESSION, PLAYER, request, now + 60, now)
        player = Player(reactor, response, server)
        port = UdpPort(0, player, host, MAX_RECEIVED_SIZE, reactor)
        port.startListening()
        while not any(isinstance(event, MaterialsChanged) for event in player.events):
            await player.changed
        self.assertIsInstance(player.events[0], Connected)
        logged = [event.progress for event in player.events if isinstance(event, ProgressChanged)]
        self.assertEqual(logged, [Progress(running().progress.status, 0.0, NOW, 60.0)])
        self.assertIn(MaterialsChanged(table()), player.events)
        player.tick()
        await gateway.stopService()  # type: ignore[misc]  # it is a Deferred once it was started.
        while not isinstance(player.events[-1], Closed):
            await player.changed
        self.assertEqual(player.events[-1], Closed(CloseReason.GOING_AWAY))
        self.assertEqual(feeds.watchers, [])
        await maybeDeferred(port.stopListening)

    def test_ipv4(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._play("127.0.0.1"))

    def test_ipv6(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._play("::1"))

    async def test_every_address_of_both(self) -> None:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            await self._play(host, listen="")
