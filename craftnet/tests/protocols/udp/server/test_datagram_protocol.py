from __future__ import annotations

import errno
from collections.abc import Callable
from math import inf
from typing import Literal, cast
from uuid import UUID

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port as UdpPort
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.access.principal import Principal
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.contract.messages import to_json
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState
from craftnet.crafting.updates import Update, materials_snapshot, progress_update
from craftnet.errors import NotFound, Unavailable
from craftnet.interfaces import ISubscriber
from craftnet.limits.client_address import ServerUrl
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.client.connection import ClientConnection, Closed, Connected, Event, Output
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, PLAIN, agreed
from craftnet.protocols.udp.server.datagram_protocol import UdpServer
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE
from craftnet.protocols.udp.server.service import IReactor, UdpService
from craftnet.protocols.wire.codec import PHASE, first_byte
from craftnet.protocols.wire.records import CloseReason, DatagramKind, ProgressRecord
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import AT, IRON, NOW, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, HEARTBEAT, FakeTransport, Lab, table

reactor = cast("IReactor", installed)  # the module stands for the reactor.


class OneSession:
    """Feeds with one session in them."""

    def __init__(self) -> None:
        self.watchers: list[ISubscriber] = []
        self.answer: Callable[[], Deferred[None]] = lambda: succeed(None)

    def subscribe_session(self, session_id: UUID, watcher: ISubscriber) -> Deferred[None]:
        """Snapshots first, as the hub does."""
        if session_id != SESSION:
            return fail(NotFound("No such session."))
        self.watchers.append(watcher)
        watcher.deliver(progress_update(running(), AT))
        watcher.deliver(materials_snapshot(table(), AT))
        return self.answer()

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """Unknown ones are no error."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)


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

    def test_one_timer_for_everybody(self) -> None:
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
        def broken(session_id: UUID, watcher: ISubscriber) -> Deferred[None]:
            raise ZeroDivisionError

        self.feeds.subscribe_session = broken  # type: ignore[method-assign]  # a hub with a fault.
        for _ in range(9):
            self.client = self.lab.client_connection(
                self.lab.tickets.issue(UUID(int=1), UUID(int=_), PLAIN, NOW + 9, NOW)
            )
            self._connect()
        self.assertEqual(self._metric("craftnet_datagrams_total", outcome="failed"), 9)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_stopping_leaves_no_calls_behind(self) -> None:
        self._connect()
        self.server.shut_down()
        self.server.stopProtocol()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.feeds.watchers, [])


class GatewayTests(SynchronousTestCase):
    """The answers of …/connect."""

    def setUp(self) -> None:
        self.gateway = self._gateway(HostPort("play.example", 9))

    def _gateway(self, public: HostPort | None, listen: str = "", path_size: int = PATH_SIZE) -> UdpService:
        clock = SteppedClock()
        return UdpService(
            HostPort(listen, 8082),
            public,
            OneSession(),
            Metrics(),
            clock,  # type: ignore[arg-type]  # enough of a reactor: no socket is opened.
            path_size=path_size,
        )

    def _connect(self, size: int, *compression: Literal["lz4", "zstd", "none"]) -> UdpConnectResponse:
        request = UdpConnectRequest(
            player_id=PLAYER,
            client_version="1.0.0",
            max_packet_size=size,
            supported_compression=list(compression or ("lz4",)),
        )
        return self.gateway.connect(SESSION, PLAYER, request, NOW + 60, NOW)

    def test_answer(self) -> None:
        response = self._connect(4096)
        self.assertEqual(response.server_endpoint, "play.example:9")
        self.assertEqual(response.heartbeat_interval, 5000)
        self.assertEqual((response.compression_enabled, response.compression), (True, "lz4"))
        SessionToken.parse(response.session_token)

    def test_while_the_service_stops(self) -> None:
        """Who still asks, over a connection that HTTP kept alive, is not sent to a socket that is closed."""
        self.gateway.startService()
        self.gateway.stopService()
        self.assertRaises(Unavailable, self._connect, 1200)

    def test_endpoint_when_nothing_public_is_configured(self) -> None:
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0")
        asked, stated = ServerUrl("http", "game.example", 8080), ServerUrl("https", "play.example", stated=True)
        for listen, server, logged in (
            ("", asked, "game.example:8082"),
            ("127.0.0.1", asked, "127.0.0.1:8082"),
            ("127.0.0.1", stated, "play.example:8082"),
            ("", ServerUrl("http", "2001:db8::1"), "[2001:db8::1]:8082"),
            ("::1", None, "[::1]:8082"),
            ("fe80::1%eth0", None, "[fe80::1]:8082"),
            ("", None, "localhost:8082"),
        ):
            response = self._gateway(None, listen).connect(SESSION, PLAYER, request, NOW + 60, NOW, server)
            self.assertEqual(response.server_endpoint, logged)

    def test_packet_size(self) -> None:
        for asked, given in ((64, 64), (1200, 1200), (1201, PATH_SIZE), (65536, PATH_SIZE)):
            self.assertEqual(self._connect(asked, "none").negotiated_packet_size, given)
            self.assertEqual(self._connect(asked, "lz4").negotiated_packet_size, asked)

    def test_packet_size_where_the_network_carries_more(self) -> None:
        self.gateway = self._gateway(None, path_size=9000)
        for asked, given in ((64, 64), (1200, 1200), (9001, 9000), (65536, 9000)):
            self.assertEqual(self._connect(asked, "none").negotiated_packet_size, given)

    def test_no_compression(self) -> None:
        response = self._connect(4096, "none", "lz4")
        self.assertEqual((response.compression_enabled, response.compression), (False, "none"))

    def test_tokens_differ(self) -> None:
        self.assertNotEqual(self._connect(64).session_token, self._connect(64).session_token)


class OpenGatewayTests(SynchronousTestCase):
    """A gateway with one player connected, without a socket."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.states = self.sent = 0
        self.phases: set[int] = set()
        self.skew, self.loses = 0.0, False
        self._open(self._gateway(tolerance=0.25))

    def _gateway(self, **terms: float) -> UdpService:
        """One that listens to nothing."""
        return UdpService(
            HostPort("", 8082),
            None,
            OneSession(),
            self.metrics,
            self.clock,  # type: ignore[arg-type]  # enough of a reactor: no socket is opened.
            **terms,  # type: ignore[arg-type]  # those that are numbers of seconds, or of points.
        )

    def _open(self, gateway: UdpService) -> None:
        """The player connects to it."""
        self.gateway = gateway
        now = self.clock.seconds()
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0")
        bearer = Principal(PLAYER, frozenset(), now + 600)
        self.answer = gateway.connect(SESSION, PLAYER, request, now + 600, now, bearer=bearer)
        self.client = ClientConnection(
            SessionToken.parse(self.answer.session_token), {0: SESSION}, heartbeat=5.0, agreement=agreed(self.answer)
        )
        self.transport = FakeTransport()
        gateway.server.makeConnection(self.transport)
        self._carry(self.client.start(self._player_time).datagrams)

    def test_keys_and_tokens_are_renewed_as_often_as_configured(self) -> None:
        self._open(self._gateway(key_rotation=7.0, token_renewal=8.0))
        self.phases.clear()
        self._live(6)
        self.assertEqual((self.phases, self.client.token.text), ({0}, self.answer.session_token))
        self._live(10)
        self.assertEqual(self.phases, {0, 1})
        self.assertNotEqual(self.client.token.text, self.answer.session_token)

    @property
    def _player_time(self) -> float:
        return self.clock.seconds() + self.skew

    def _carry(self, outgoing: list[bytes]) -> None:
        """Runs until both sides are silent."""
        while outgoing:
            for datagram in outgoing:
                self.sent += 1
                if not self.loses or self.sent % 5:
                    self.gateway.server.datagramReceived(datagram, CLIENT)
            outgoing = self._answers()

    def _answers(self) -> list[bytes]:
        """The client's answers to what it received."""
        now, logged = self._player_time, self.transport.taken()
        self.phases.update(bool(datagram[0] & PHASE) for datagram in logged)
        self.states += sum(datagram[0] & ~PHASE == first_byte(DatagramKind.STATE) for datagram in logged)
        return [answer for datagram in logged for answer in self.client.receive(datagram, now).datagrams]

    def _live(self, seconds: int) -> None:
        for _ in range(seconds * 20):
            self.clock.advance(0.05)
            self._carry(list(self.client.tick(self._player_time).datagrams))
            self._carry(self._answers())

    def test_accept_names_the_tolerance(self) -> None:
        self.assertEqual(self.answer.progress_tolerance, 0.25)

    def test_the_default_tolerance_is_not_sent(self) -> None:
        """However the number came about."""
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0")
        answer = self._gateway(tolerance=float("0.5")).connect(SESSION, PLAYER, request, NOW + 600, NOW)
        self.assertNotIn(b"progress_tolerance", to_json(answer))

    def test_the_line_is_in_the_metrics(self) -> None:
        """A player whose clock is 100 s fast, and a path that loses some of the player's datagrams."""
        self.metrics = Metrics()
        self.skew, self.loses = 100.0, True
        self._open(self._gateway())
        self._live(300)

        def mean(name: str) -> float:
            count, total = (
                self.metrics.registry.get_sample_value(f"craftnet_udp_{name}_{of}") for of in ("count", "sum")
            )
            assert count and total is not None, name
            return total / count

        self.assertAlmostEqual(mean("clock_offset_seconds"), 100.0, places=1)
        self.assertAlmostEqual(mean("rate_bytes_per_second"), 50_000.0)
        self.assertGreater(mean("loss_in_ratio"), 0.1)
        for name in ("loss_ratio", "reordering_ratio", "jitter_seconds"):
            self.assertAlmostEqual(mean(name), 0.0, places=5, msg=name)
        for name in ("round_trip_seconds", "round_trip_variation_seconds"):
            self.assertLess(mean(name), 0.1, name)

    def test_a_claim_is_seen_with_the_players_eyes(self) -> None:
        self._live(6)
        now = self.clock.seconds()
        claim = ProgressRecord(1, int(now * 1000), SESSION, 10.0)
        seen = self.gateway.seen(claim, PLAYER, now)
        assert seen is not None
        self.assertEqual(seen.state.progress.percent, running().progress.percent)
        self.assertIsNone(self.gateway.seen(claim, OTHER_SESSION, now))

    def test_revocation_reaches_the_client(self) -> None:
        self._live(2)
        self.assertEqual(self.gateway.enforce(lambda bearer: bearer.player_id == PLAYER), 1)
        self._live(2)
        self.assertEqual(self.client.over, CloseReason.REVOKED)
        self.assertEqual(self.metrics.registry.get_sample_value("craftnet_connections", {"transport": "udp"}), 0)

    def test_refresh_interval_is_configurable(self) -> None:
        """Nothing happens for 30 s: once in 1 s on average, and never in 1,000 s."""
        for full_sync, least, most in ((1.0, 20, 60), (1000.0, 0, 0)):
            self._open(self._gateway(full_sync=full_sync))
            self.states = 0
            self._live(30)
            self.assertGreaterEqual(self.states, least)
            self.assertLessEqual(self.states, most)

    def test_refusals_are_one_line(self) -> None:
        events: list[LogEvent] = []
        observer = cast("ILogObserver", events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(5000):
            self.gateway.server.datagramReceived(b"junk", CLIENT)
        logged = [event["line"] for event in events if "line" in event]
        self.assertEqual(logged, ["datagrams refused: 1 truncated"])


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
