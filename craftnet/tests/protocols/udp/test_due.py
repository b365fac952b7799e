"""A peer is only looked at when its deadline has come: held to what looking at it all the time would do."""

from __future__ import annotations

from math import nextafter
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.server.dispatcher import Effect
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.samples import NOW, OTHER_SESSION, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, OTHER_ADDRESS, Lab, datagrams, table

SESSIONS = (SESSION, OTHER_SESSION, UUID(int=3))

INDEXES = st.integers(0, len(SESSIONS) - 1)

STEPS = st.one_of(
    st.tuples(st.just("progress"), INDEXES),
    st.tuples(st.just("materials"), INDEXES),
    st.tuples(st.just("end"), INDEXES, st.sampled_from([CloseReason.ENDED, CloseReason.REVOKED])),
    st.tuples(st.just("leave"), INDEXES),
    st.tuples(st.just("join"), INDEXES, st.sampled_from([0.5, 30.0, 3600.0])),
    st.tuples(st.just("resync")),
    st.tuples(st.just("nonsense")),
    st.tuples(st.just("close")),
    st.tuples(st.just("move"), st.sampled_from([CLIENT, OTHER_ADDRESS])),
    st.tuples(st.just("down"), st.booleans()),
    st.tuples(st.just("up"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.03, 0.3, 1.1, 4.9, 16.0, 1801.0])),
)

HEARD_OF_THE_END = (("progress", 1), ("wait", 0.01), ("end", 1, CloseReason.ENDED), ("down", True))
"""After its acknowledgement only the end itself remains to be sent."""


class DueTests(SynchronousTestCase):
    """One connection, some sessions, and a path that loses what the history says."""

    def begin(self, sessions: int) -> None:
        """A connection that has said hello."""
        self.lab = Lab()
        self.now = NOW
        self.version = 0
        ticket = self.lab.ticket()
        for session_id in SESSIONS[1:sessions]:
            self.lab.join(ticket, session_id)
        self.ticket = ticket
        self.client, self.peer = self.lab.connect(ticket)
        self.address: Address = CLIENT
        self.down: list[bytes] = []
        self.up: list[bytes] = []

    def step(self, what: str, *how: object) -> None:
        """One thing happens."""
        endpoint, peer, now = self.lab.endpoint, self.peer, self.now
        self.version += 1
        match what, *how:
            case "progress", int(index):
                state = running(SESSIONS[index])
                progress = replace(state.progress, percent=self.version % 99 + 0.5)
                self.perform(self.lab.update(peer, replace(state, progress=progress), now, index))
            case "materials", int(index):
                self.perform(self.lab.update(peer, table(self.version, iron=self.version), now, index))
            case "end", int(index), CloseReason() as reason:
                self.perform(endpoint.end(peer, index, reason, now))
            case "leave", int(index):
                self.up += self.client.leave(index, now).datagrams
            case "join", int(index), float(seconds):
                joined = endpoint.join(self.ticket, SESSIONS[index], now + seconds, self.ticket.bearer, now)
                assert joined is not None
                self.perform(joined[1])
            case ("resync",):
                self.up += self.client.resync(now).datagrams
            case ("nonsense",):
                if self.client.channel is not None:
                    self.up.append(self.client.channel.seal(DatagramKind.ACK, codec.encode_held({0: 0xFFFFFF, 200: 0})))
            case ("close",):
                self.perform(endpoint.close(peer, CloseReason.GOING_AWAY, now))
            case "move", address:
                self.address = address  # type: ignore[assignment]  # of the strategy above.
            case "down", bool(arrives):
                down, self.down = self.down, []
                for datagram in down if arrives else ():
                    self.up += self.client.receive(datagram, now).datagrams
            case "up", bool(arrives):
                up, self.up = self.up, []
                for datagram in up if arrives else ():
                    self.perform(self.lab.send(datagram, now, self.address))
                    self.check()
            case "wait", float(seconds):
                self.wait(seconds)
        self.check()

    def wait(self, seconds: float) -> None:
        """Advances the time; connections are ticked at their deadlines."""
        end, looks = self.now + seconds, 2_000
        while self.peer.finished is None:
            server = self.lab.endpoint.deadline
            assert server is not None
            upcoming = min(server, self.client.deadline)
            if upcoming >= end:
                break
            self.now = max(self.now, upcoming)
            if server <= self.now:
                self.perform(self.lab.endpoint.tick(self.now))
                self.check()
                looks -= 1
                self.assertGreater(looks, 0, "what is due is done when it is looked at")
            else:
                self.up += self.client.tick(self.now).datagrams
            if seconds > 20.0:  # longer than a connection survives on a dead path.
                for way in ("down", "up"):
                    if self.peer.finished is None:
                        self.step(way, True)
        self.now = end

    def perform(self, effects: list[Effect]) -> None:
        """The server's datagrams wait on the path."""
        self.down += datagrams(effects)

    def check(self) -> None:
        """Looking at the peer before its deadline is of no use, now or at the last moment."""
        peer = self.peer
        if peer.finished is not None:
            return
        deadline = peer.deadline
        earliest = self.lab.endpoint.deadline
        assert earliest is not None
        self.assertLessEqual(earliest, deadline)
        for now in (self.now, nextafter(deadline, 0.0)):
            if self.now <= now < deadline:
                self.assertEqual(peer.tick(now), [])
                self.assertIsNone(peer.finished)
                self.assertGreaterEqual(peer.deadline, deadline)

    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(st.integers(1, len(SESSIONS)), st.lists(STEPS, min_size=10, max_size=60))
    @example(1, [("progress", 0), ("close",), ("down", True), ("nonsense",), ("up", True)])
    @example(2, [*HEARD_OF_THE_END, ("nonsense",), ("up", True)])
    @example(2, [*HEARD_OF_THE_END, ("nonsense",), ("up", True), ("join", 0, 3600.0)])
    def test_nothing_is_due_before_the_deadline(self, sessions: int, history: list[tuple[object, ...]]) -> None:
        self.begin(sessions)
        for what, *how in history:
            if self.peer.finished is not None:
                break
            assert isinstance(what, str)
            self.step(what, *how)
