"""Tests for `craftnet.client.transports.udp_socket`, on a line without a network."""

from __future__ import annotations

from typing import cast

from msgspec.structs import replace
from twisted.internet.interfaces import IUDPTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality, error_bound
from craftnet.client.core.endings import Ending
from craftnet.client.core.interfaces import ILinkListener
from craftnet.client.transports.udp_socket import ROUTE_INTERVAL, UdpSocket
from craftnet.contract.messages import Status
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update
from craftnet.protocols.udp.server.dispatcher import Effect
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import OTHER_ADDRESS, Lab, datagrams

LATENCY = 0.05
TOLERANCE = 0.5
AHEAD = 3600.0
"""Seconds by which the client's clock is ahead of the server's."""


class Wire:
    """The socket's datagrams on their way."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, datagram: bytes, addr: object = None) -> None:
        """Keep it."""
        self.sent.append(datagram)


@implementer(ILinkListener)
class Watcher:
    """Records what it receives."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.events: list[str] = []
        self.lines: list[ConnectionQuality] = []

    def opened(self) -> None:
        """Keep it."""
        self.events.append("opened")

    def updated(self, update: Update) -> None:
        """Keep it."""
        self.events.append("updated" if update.messages else "corrected")
        self.updates.append(update)

    def measured(self, line: ConnectionQuality) -> None:
        """Keep it."""
        self.events.append("measured")
        self.lines.append(line)

    def ended(self, ending: Ending) -> None:
        """Keep it."""
        self.events.append("ended")


class UdpSocketTests(SynchronousTestCase):
    """`UdpSocket`"""

    def setUp(self) -> None:
        self.lab, self.wire, self.watcher, self.clock = Lab(), Wire(), Watcher(), SteppedClock()
        self.clock.advance(NOW + AHEAD)
        self.local: str | None = "198.51.100.1"
        client_connection = self.lab.client_connection(self.lab.ticket())
        self.socket = UdpSocket(
            self.clock,
            [("192.0.2.9", 8082)],
            client_connection,
            TOLERANCE,
            60.0,
            lambda socket: None,
            lambda server: self.local,
        )
        self.socket.transport = cast(IUDPTransport, self.wire)
        self.socket.watch(0, SESSION, PLAYER, self.watcher)
        self.socket.startProtocol()
        self.addCleanup(self.socket.stopProtocol)

    @property
    def now(self) -> float:
        """The server's time."""
        return self.clock.seconds() - AHEAD

    def arrive(self, effects: list[Effect], back: float = LATENCY) -> None:
        """Delays what the server sends."""
        self.clock.advance(back)
        for datagram in datagrams(effects):
            self.socket.datagramReceived(datagram, None)

    def exchange(self, back: float = LATENCY) -> None:
        """Delivers the client's datagrams after `LATENCY`, and then the answers."""
        sent, self.wire.sent = self.wire.sent, []
        self.clock.advance(LATENCY)
        self.arrive([effect for datagram in sent for effect in self.lab.send(datagram, self.now)], back)

    def deliver(self, state: SessionState) -> None:
        """The server delivers an update of it."""
        (peer,) = self.lab.endpoint.peers.values()
        self.arrive(self.lab.update(peer, state, self.now))

    @property
    def anchor(self) -> float:
        """Of the newest progress, by the client's clock."""
        state = self.watcher.updates[-1].state
        assert isinstance(state, SessionState)
        return state.progress.anchor

    def test_the_server_finds_a_client_that_has_moved_at_once(self) -> None:
        self.exchange()
        self.exchange()
        self.clock.advance(ROUTE_INTERVAL)
        self.exchange()
        self.wire.sent.clear()
        self.local = "203.0.113.1"
        self.clock.advance(ROUTE_INTERVAL)
        (heartbeat,) = self.wire.sent
        self.assertEqual(heartbeat[0] & 31, DatagramKind.HEARTBEAT)
        (peer,) = self.lab.endpoint.peers.values()
        (challenge,) = datagrams(self.lab.send(heartbeat, self.now, OTHER_ADDRESS))
        self.socket.datagramReceived(challenge, None)
        self.lab.send(self.wire.sent[-1], self.now, OTHER_ADDRESS)
        self.assertEqual(peer.address, OTHER_ADDRESS)

    def test_a_route_that_is_gone_for_a_while_is_no_move(self) -> None:
        self.exchange()
        self.exchange()
        for local in ("198.51.100.1", None, "198.51.100.1"):
            self.local = local
            self.wire.sent.clear()
            self.clock.advance(ROUTE_INTERVAL)
            self.assertEqual(self.wire.sent, [])

    def test_nothing_is_said_before_the_connection_is_open(self) -> None:
        self.exchange()
        self.assertEqual(self.watcher.events, [])
        self.exchange()
        self.assertEqual(self.watcher.events, ["opened", "measured"])

    def test_the_bound_is_that_of_the_newest_progress(self) -> None:
        """Also when nothing else about the path has changed."""
        self.exchange()
        self.exchange()
        slow = running()
        self.deliver(slow)
        self.deliver(replace(slow, version=2, progress=replace(slow.progress, remaining=5.0)))
        bounds = [line.bound for line in self.watcher.lines[-2:]]
        self.assertEqual(self.watcher.lines[-1].conditions, self.watcher.lines[-2].conditions)
        self.assertAlmostEqual(bounds[0], error_bound(slow.progress, self.watcher.lines[-1].conditions, TOLERANCE))
        self.assertGreater(bounds[1], bounds[0] + 0.5)

    def test_progress_follows_the_clock(self) -> None:
        """A slow way back skews the first sample; a better one corrects the progress, without a message."""
        self.exchange(back=0.25)
        self.exchange()
        self.deliver(running())
        self.assertAlmostEqual(self.anchor, NOW + AHEAD + 0.1, places=3)
        while self.watcher.events[-2:] != ["corrected", "measured"]:
            self.clock.advance(1.0)
            self.exchange()
            self.arrive(self.lab.endpoint.tick(self.now))
        self.assertAlmostEqual(self.anchor, NOW + AHEAD, places=3)

    def test_progress_is_delivered_again_once_the_clock_offset_is_known(self) -> None:
        """The HELLO was repeated, so that its answer says nothing of the time."""
        self.wire.sent.clear()
        self.clock.advance(1.0)
        self.exchange()
        self.exchange()
        self.deliver(running())
        self.assertEqual((self.watcher.events, self.anchor), (["opened", "updated"], NOW))
        self.exchange()  # the server answers the first heartbeat at once.
        self.assertEqual(self.watcher.events[2:4], ["updated", "measured"])
        self.assertAlmostEqual(self.anchor, NOW + AHEAD, places=1)

    def test_paused_progress_is_not_delivered_again(self) -> None:
        self.wire.sent.clear()
        self.clock.advance(1.0)
        self.exchange()
        self.exchange()
        paused = running()
        self.deliver(replace(paused, progress=replace(paused.progress, status=Status.PAUSED)))
        while self.watcher.events[-1] != "measured":
            self.clock.advance(1.0)
            self.exchange()
            self.arrive(self.lab.endpoint.tick(self.now))
        self.assertEqual(self.watcher.events, ["opened", "updated", "measured"])
