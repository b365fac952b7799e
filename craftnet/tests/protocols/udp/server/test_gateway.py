"""Tests the answers to …/connect, and a UDP connection without a socket."""

from __future__ import annotations

from typing import Literal, cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.contract.messages import to_json
from craftnet.errors import Unavailable
from craftnet.limits.client_address import ServerUrl
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, agreed
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.wire.codec import PHASE, first_byte
from craftnet.protocols.wire.records import CloseReason, DatagramKind, ProgressRecord
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.one_session import OneSession
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, FakeTransport


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
