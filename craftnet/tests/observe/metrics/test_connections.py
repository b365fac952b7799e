"""What connections of each transport count: bytes, closing, what waits, and what happens to UDP clients."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import SessionPause, SessionResume
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD
from craftnet.tests.support.feed_wire import FeedServer, FeedWire
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, start
from craftnet.tests.support.stream_case import StreamTestCase
from craftnet.tests.support.udp_lab import CLIENT, HEARTBEAT, OTHER_ADDRESS, Lab, datagrams

LOST = Failure(ConnectionDone())

TARGET = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


class WebSocketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = FeedServer()
        self.server.apply(start(seconds=60.0))

    def sample(self, name: str, **labels: str) -> float | None:
        return self.server.metrics.registry.get_sample_value(f"craftnet_{name}", labels)

    def pause(self, wire: FeedWire, number: int) -> None:
        """As many changes while the client does not read."""
        wire.protocol.pauseProducing()
        for turn in range(number):
            self.server.clock.advance(1.0)
            kind = SessionPause(session_id=SESSION, pause_reason="player_afk")
            self.server.apply(kind if turn % 2 == 0 else SessionResume(session_id=SESSION))

    def test_bytes_by_encoding(self) -> None:
        plain, binary = self.server.opened(TARGET), self.server.opened(TARGET, subprotocol="craftnet.bin.v1")
        before = self.sample("sent_bytes_total", transport="websocket", encoding="craftnet.json.v1") or 0.0
        packed = self.sample("sent_bytes_total", transport="websocket", encoding="craftnet.bin.v1") or 0.0
        self.server.clock.advance(1.0)
        self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        for wire, name, counted in ((plain, "json", before), (binary, "bin", packed)):
            now = self.sample("sent_bytes_total", transport="websocket", encoding=f"craftnet.{name}.v1")
            self.assertEqual(now, counted + len(wire.value()))

    def test_received_bytes(self) -> None:
        wire = self.server.opened(TARGET)
        wire.protocol.dataReceived(b"\x8a\x80\x00\x00\x00\x00")  # a pong.
        self.assertEqual(self.sample("received_bytes_total", transport="websocket", encoding="frames"), 6)

    def test_conflation(self) -> None:
        """Three states of which the last is sent: two were replaced, one waits until the client reads."""
        wire = self.server.opened(TARGET)
        self.pause(wire, 3)
        self.assertEqual(self.sample("conflated_updates_total", transport="websocket"), 2)
        self.assertEqual(self.sample("queue_depth", queue="websocket"), 1)
        wire.protocol.resumeProducing()
        self.assertEqual(self.sample("queue_depth", queue="websocket"), 0)
        self.assertEqual(self.sample("dropped_updates_total", transport="websocket"), 0)

    def test_what_waits_is_dropped_with_its_client(self) -> None:
        wire = self.server.opened(TARGET)
        self.pause(wire, 1)
        wire.protocol.connectionLost(LOST)
        self.assertEqual(self.sample("dropped_updates_total", transport="websocket"), 1)
        self.assertEqual(self.sample("queue_depth", queue="websocket"), 0)

    def test_close_codes(self) -> None:
        """The code of the end that closes first; one number for a client that is lost, one for all odd codes."""
        frames = {
            "1000": b"\x88\x82\x00\x00\x00\x00" + (1000).to_bytes(2, "big"),
            "other": b"\x88\x82\x00\x00\x00\x00" + (3999).to_bytes(2, "big"),
            "1006": b"",
        }
        for frame in frames.values():
            wire = self.server.opened(TARGET)
            if frame:
                wire.protocol.dataReceived(frame)
            wire.protocol.connectionLost(LOST)
        wire = self.server.opened(TARGET)
        wire.protocol.ended(CloseCode.GOING_AWAY)
        wire.protocol.connectionLost(LOST)
        for code in (*frames, "1001"):
            self.assertEqual(self.sample("closed_total", transport="websocket", code=code), 1, code)
        self.assertEqual(self.sample("connections", transport="websocket"), 0)

    def test_handshakes_are_requests(self) -> None:
        self.server.opened(TARGET)
        self.server.wire(TARGET, bearer=None)
        self.server.wire(f"/ws/crafting/{SESSION}")
        self.server.wire(f"/ws/{SESSION}")
        requests = {
            (route, status): self.sample("http_requests_total", route=route, method="GET", status=status)
            for route, status in (
                ("/ws/crafting/{session_id}", "101"),
                ("/ws/crafting/{session_id}", "401"),
                ("/ws/crafting/{session_id}", "400"),
                ("none", "404"),
            )
        }
        self.assertEqual(set(requests.values()), {1}, requests)

    def test_corrections(self) -> None:
        """How wrong the clients' model was: a pause is no surprise to a bar, a jump of 30 points is."""
        self.server.opened(TARGET)
        self.server.clock.advance(6.0)
        self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        self.assertEqual(self.sample("correction_points_count"), 1)
        self.assertAlmostEqual(self.sample("correction_points_sum") or 0.0, 0.0, places=6)
        self.server.clock.advance(18.0)
        self.server.apply(SessionResume(session_id=SESSION, remaining_duration_seconds=30))
        self.assertEqual(self.sample("correction_points_count"), 2)


class EventStreamTests(StreamTestCase):
    def test_closing_and_bytes(self) -> None:
        self.apply(start(seconds=60.0))
        ended, lost = (self.stream(f"/sse/crafting/{SESSION}?player_id={PLAYER}") for _ in range(2))
        value = self.metrics.registry.get_sample_value
        self.assertGreater(value("craftnet_sent_bytes_total", {"transport": "sse", "encoding": "json"}) or 0, 100)
        labels = {"route": "/sse/crafting/{session_id}", "method": "GET", "status": "200"}
        self.assertEqual(value("craftnet_http_requests_total", labels), 2)
        lost.wire.protocol.connectionLost(LOST)
        for connection in list(self.connections.open):
            connection.ended(CloseCode.GOING_AWAY)
        ended.wire.protocol.connectionLost(LOST)
        for code in ("1001", "1006"):
            self.assertEqual(value("craftnet_closed_total", {"transport": "sse", "code": code}), 1, code)


class UdpTests(SynchronousTestCase):
    """What happens to UDP clients."""

    def setUp(self) -> None:
        self.lab = Lab(key_rotation=1.0)
        self.client, self.peer = self.lab.connect(self.lab.ticket())
        self.counts = self.lab.counts

    def exchange(self, now: float, address: Address = CLIENT) -> None:
        """Both ends do what is due, and everything arrives."""
        for datagram in self.client.tick(now).datagrams:
            for answer in datagrams(self.lab.send(datagram, now, address)):
                for back in self.client.receive(answer, now).datagrams:
                    self.lab.send(back, now, address)
        for datagram in datagrams(self.lab.endpoint.tick(now)):
            for back in self.client.receive(datagram, now).datagrams:
                self.lab.send(back, now, address)

    def test_resyncs(self) -> None:
        (datagram,) = self.client.resync(NOW + 1).datagrams
        self.lab.send(datagram, NOW + 1)
        self.assertEqual(self.counts.resyncs.value, 1)

    def test_full_syncs(self) -> None:
        state = SessionState(SESSION, PLAYER, 1, Progress(Status.ACTIVE, 10.0, NOW, 60.0), UUID(int=7), NOW)
        self.lab.update(self.peer, state, NOW)
        for step in range(1, 5):
            self.exchange(NOW + step * HEARTBEAT)
        self.assertGreaterEqual(self.counts.full_syncs.value, 1)
        self.assertEqual(self.counts.resyncs.value, 0)

    def test_key_updates(self) -> None:
        """The server's keys are replaced every second here, the client's as usual."""
        for step in range(1, int(KEY_UPDATE_PERIOD / HEARTBEAT) + 3):
            self.exchange(NOW + step * HEARTBEAT)
        self.assertGreaterEqual(self.counts.sent_keys.value, 1)
        self.assertGreaterEqual(self.counts.received_keys.value, 1)

    def test_migrations(self) -> None:
        for step in range(1, 4):
            self.exchange(NOW + step * HEARTBEAT, OTHER_ADDRESS)
        self.assertEqual(self.peer.address, OTHER_ADDRESS)
        self.assertEqual((self.counts.migrations.value, self.counts.resyncs.value), (1, 1))
