"""The fast path of the UDP server is an abbreviation: with it and without it, the same datagrams go out.

What is said twice is said by the same seeds, so that all of it, up to the random bytes of challenges, is the same.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from types import FrameType
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.contract.position import Position
from craftnet.crafting.progress import Progress
from craftnet.crafting.updates import Update
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.server.connection import Send
from craftnet.protocols.udp.server.datagram_port import Sender
from craftnet.protocols.udp.server.datagram_protocol import UdpServer
from craftnet.protocols.udp.server.dispatcher import Effect
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, OTHER_ADDRESS, Lab, datagrams, general_path_only, table

NO_TABLES = codec.encode_held({})


class Script:
    """A connection to which things happen, in the order of a list of small numbers."""

    def __init__(self, seed: int, congestion: Congestion) -> None:
        self.random = Random(seed)
        self.lab = Lab(seed=seed, full_sync=7.0, key_rotation=6.0, congestion=congestion)
        self.ticket = self.lab.ticket(compression=self.random.choice(["none", "lz4"]))
        self.client, self.peer = self.lab.connect(self.ticket)
        self.now = NOW
        self.version = 0
        self.address = CLIENT
        self.under_way: list[bytes] = []
        self.heard: list[bytes] = []
        self.transcript: list[object] = []

    def play(self, steps: list[int]) -> list[object]:
        """What is said, and what became of it, once all the steps are done."""
        for step in steps:
            self.now += self.random.choice([0.0, 0.001, 0.02, 0.3, 1.1])
            _STEPS[step % len(_STEPS)](self)
            self.note(self.lab.endpoint.tick(self.now))
            deadline, upcoming = self.peer.deadline, self.lab.endpoint.deadline
            conditions = self.peer.conditions
            self.transcript.append(
                (deadline, self.peer.send_queue.pace.rate, conditions, self.peer.finished, dict(self.lab.counted))
            )
            if self.peer.finished is None:
                assert upcoming is not None and upcoming <= deadline, "no call is due in time"
        return self.transcript

    def note(self, effects: list[Effect]) -> None:
        """The effects become part of the transcript; datagrams are under way."""
        for effect in effects:
            self.transcript.append(effect if isinstance(effect, Send) else type(effect).__name__)
        self.under_way += datagrams(effects)

    def progress(self) -> None:
        """The craft goes on."""
        self.version += 1
        status = Status.PAUSED if self.version % 7 == 0 else Status.ACTIVE
        progress = Progress(status, self.random.random() * 99, self.now, self.random.random() * 100)
        self.deliver(replace(running(), version=self.version, progress=progress))

    def same(self) -> None:
        """The same function of time: nothing is sent."""
        self.deliver(replace(running(), version=self.version))

    def reason(self) -> None:
        """More than one record."""
        progress = Progress(
            Status.FAILED, 50.0, self.now, failure_reason="no more iron " * self.random.randrange(1, 30)
        )
        self.deliver(replace(running(), version=self.version, progress=progress))

    def materials(self) -> None:
        """A table."""
        self.version += 1
        self.deliver(table(self.version, iron=self.version))

    def deliver(self, state: object) -> None:
        """Of session 0, sometimes with a position."""
        at = Position("epoch", self.version) if self.random.random() < 0.2 else None
        self.note(self.lab.update(self.peer, state, self.now, at=at))  # type: ignore[arg-type]

    def lose(self) -> None:
        """What is under way is lost."""
        self.under_way.clear()

    def arrive(self) -> None:
        """What is under way arrives, in some order, and is acknowledged as the client does it."""
        self.random.shuffle(self.under_way)
        arriving, self.under_way = self.under_way, []
        for datagram in arriving:
            self.say(self.client.receive(datagram, self.now).datagrams)
        self.say(self.client.tick(self.now + 0.02).datagrams)

    def acknowledge(self) -> None:
        """The client acknowledges once more."""
        if self.client.channel is not None:
            self.say([self.client.channel.seal(DatagramKind.ACK, NO_TABLES)])

    def say(self, sent: list[bytes]) -> None:
        """The client's datagrams reach the server."""
        self.heard += sent
        for datagram in sent:
            self.note(self.lab.send(datagram, self.now, self.address))

    def attack(self) -> None:
        """Something that was sent before, or nearly, comes from anywhere."""
        if self.heard:
            datagram = bytearray(self.random.choice(self.heard))
            if self.random.random() < 0.5:
                datagram[self.random.randrange(len(datagram))] ^= 1 << self.random.randrange(8)
            address = self.random.choice([CLIENT, OTHER_ADDRESS])
            self.note(self.lab.send(bytes(datagram), self.now, address))

    def beat(self) -> None:
        """Time passes: heartbeats, and with them new keys."""
        self.now += 2.0
        self.say(self.client.tick(self.now).datagrams)

    def move(self) -> None:
        """The client is somewhere else."""
        self.address = OTHER_ADDRESS if self.address == CLIENT else CLIENT
        self.say(self.client.moved(self.now).datagrams)

    def resync(self) -> None:
        """The client requests the full state."""
        self.say(self.client.resync(self.now).datagrams)

    def join(self) -> None:
        """Another session, once."""
        if len(self.ticket.permits) == 1 and not self.peer.closing and self.peer.finished is None:
            self.note(self.lab.join(self.ticket, OTHER_SESSION, now=self.now)[1])
            self.client.watch(1, OTHER_SESSION)

    def end(self) -> None:
        """One of the sessions has ended."""
        if self.random.random() < 0.3:
            index = self.random.choice([0, 1])
            self.note(self.lab.endpoint.end(self.peer, index, CloseReason.ENDED, self.now))


_STEPS: list[Callable[[Script], None]] = [
    Script.progress,
    Script.progress,
    Script.arrive,
    Script.acknowledge,
    Script.progress,
    Script.arrive,
    Script.beat,
    Script.lose,
    Script.materials,
    Script.attack,
    Script.same,
    Script.move,
    Script.resync,
    Script.reason,
    Script.join,
    Script.end,
]


class FastPathTests(SynchronousTestCase):
    def assert_same(self, seed: int, steps: list[int]) -> None:
        """With the fast path and without it, half of the seeds with each way to lower the rate."""
        congestion = Congestion.DELAY if seed % 2 else Congestion.LOSS
        shortly = Script(seed, congestion).play(steps)
        with general_path_only(self):
            at_length = Script(seed, congestion).play(steps)
        self.assertEqual(shortly, at_length)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.integers(0, 2**32), st.lists(st.integers(0, len(_STEPS) - 1), max_size=60))
    def test_anything(self, seed: int, steps: list[int]) -> None:
        self.assert_same(seed, steps)

    def test_long_ones(self) -> None:
        """Mostly progress, its acknowledgement and heartbeats, so that keys and round trips change on the way."""
        for seed in range(60):
            steps = Random(seed).choices(range(len(_STEPS) - 2), [6, 6, 9, 3, 6, 6, 3, *[1] * 7], k=200)
            self.assert_same(seed, steps)


MOST_CALLS_OUT = 13
"""Calls of Python functions from an update to the socket."""

MOST_CALLS_IN = 5
"""The same from the socket to the end of an acknowledgement."""


class Wire:
    """A port without a socket."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sender(self) -> Sender:
        """As in `DatagramPort`."""
        return lambda datagram, address: self.sent.append(datagram)


class Hub:
    """Feeds that deliver nothing by themselves."""

    def __init__(self) -> None:
        self.watchers: list[ISubscriber] = []

    def subscribe_session(
        self, session_id: UUID, watcher: ISubscriber, resume: object = None, expected: bool = False
    ) -> Deferred[None]:
        """Nothing is known of it."""
        self.watchers.append(watcher)
        return succeed(None)

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """There is nothing to stop."""


class CallsTests(SynchronousTestCase):
    """How much the fast path calls, so that it stays short."""

    COUNT = 20

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.lab, self.wire, self.hub = Lab(full_sync=600.0), Wire(), Hub()
        self.server = UdpServer(self.lab.endpoint, self.hub, Metrics(), self.clock)
        self.server.transport = self.wire  # type: ignore[assignment]  # all that is needed of one.
        self.server.startProtocol()
        self.client = self.lab.client_connection(self.lab.ticket())
        self.arrive(self.client.start(NOW).datagrams)
        for number in range(4):
            self.hub.watchers[0].deliver(self.update(number))
            self.server.datagramReceived(self.acknowledgement(), CLIENT)

    def arrive(self, sent: list[bytes]) -> None:
        """The client's datagrams, and what comes of them, until there is nothing left to say."""
        while sent:
            for datagram in sent:
                self.server.datagramReceived(datagram, CLIENT)
            answers, self.wire.sent = self.wire.sent, []
            sent = [each for answer in answers for each in self.client.receive(answer, NOW).datagrams]

    def update(self, number: int) -> Update:
        """Progress, some time later."""
        self.clock.advance(0.2)
        progress = Progress(Status.ACTIVE, number / 2, self.clock.seconds(), 60.0)
        return Update(replace(running(), version=number + 1, progress=progress), ())

    def acknowledgement(self) -> bytes:
        """The client's, of what was sent last."""
        assert self.client.channel is not None
        self.client.channel.open(self.wire.sent[-1])
        return self.client.channel.seal(DatagramKind.ACK, NO_TABLES)

    def calls(self, act: Callable[[], None]) -> Counter[str]:
        """What is called, by name, but for the clock."""
        called: Counter[str] = Counter()

        def profile(frame: FrameType, what: str, _: object) -> None:
            if what == "call" and not str(frame.f_globals.get("__name__")).startswith("twisted."):
                called[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            act()
        finally:
            sys.setprofile(before)
        return called

    def test_calls(self) -> None:
        out, back = Counter[str](), Counter[str]()
        for number in range(4, 4 + self.COUNT):
            update = self.update(number)
            out += self.calls(partial(self.hub.watchers[0].deliver, update))
            acknowledgement = self.acknowledgement()
            back += self.calls(partial(self.server.datagramReceived, acknowledgement, CLIENT))
        self.assertEqual(len(self.wire.sent), 4 + self.COUNT)
        self.assertLessEqual(out.total() / self.COUNT, MOST_CALLS_OUT, out)
        self.assertLessEqual(back.total() / self.COUNT, MOST_CALLS_IN, back)

    def test_one_reminder_at_a_time(self) -> None:
        """However many records are acknowledged in time, one reminder to look for a lost one is pending."""
        peer = next(iter(self.lab.endpoint.peers.values()))
        self.lab.endpoint.tick(self.clock.seconds())
        for number in range(4, 4 + self.COUNT):
            progress = Progress(Status.ACTIVE, number / 2, self.clock.seconds(), 60.0)
            self.hub.watchers[0].deliver(Update(replace(running(), version=number + 1, progress=progress), ()))
            self.server.datagramReceived(self.acknowledgement(), CLIENT)
        named = self.lab.endpoint.deadlines.due(peer.send_queue.reminded_at)
        self.assertEqual(named, [peer.connection_id])
