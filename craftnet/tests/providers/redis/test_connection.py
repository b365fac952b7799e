"""One connection to Redis, octet by octet: what goes over it, and what must not go over the next one."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.providers.redis.connection import (
    FIRST_BACKOFF,
    MAX_BACKOFF,
    STABLE,
    RedisConnection,
    RedisCredentials,
)
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.fakes import SteppedClock

PING = b"*1\r\n$4\r\nPING\r\n"
ROLE = b"*1\r\n$4\r\nROLE\r\n"
TIME = b"*1\r\n$4\r\nTIME\r\n"

PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds: longer than the pause before the first attempt, and before any."""

TIMEOUT = 1.0


class Wire(StringTransport):
    """The other end of one connection."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self._protocol: Any = protocol
        self.open = True

    def answer_first(self) -> None:
        """Answer the question that is asked first."""
        self.answer(PING, b"+PONG\r\n")

    def answer(self, wanted: bytes, octets: bytes) -> None:
        """Answer `wanted`, which must be all that was asked."""
        if self.value() != wanted:
            raise AssertionError(self.value())
        self.clear()
        self._protocol.dataReceived(octets)

    def lose(self) -> None:
        """Hang up."""
        self.open = False
        self._protocol.connectionLost(Failure(ConnectionLost()))

    def abortConnection(self) -> None:
        """The link hangs up."""
        if self.open:
            self.lose()


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Where the link connects. `wires` are the connections that it got."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """As in `IStreamClientEndpoint`."""
        protocol: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 6379))
        self.wires.append(Wire(protocol))
        protocol.makeConnection(self.wires[-1])
        return succeed(protocol)


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.endpoint = SteppedClock(), FakeEndpoint()

    def link(self, *, master: bool = False, backoff: Backoff | None = None) -> RedisConnection:
        """One that has been started."""
        link = RedisConnection(
            self.endpoint, "here", RedisCredentials(None, None), 0, self.clock, TIMEOUT, master=master, backoff=backoff
        )
        link.startService()
        self.addCleanup(self.stop, link)
        return link

    def stop(self, link: RedisConnection) -> None:
        """In the end."""
        link.stopService()
        for wire in self.endpoint.wires:
            wire.abortConnection()

    def ask(self, link: RedisConnection, generation: int | None = None) -> Deferred[Any]:
        """For the time."""
        return Deferred.fromCoroutine(link.ask("TIME", generation=generation))

    def again(self) -> Wire:
        """The next connection."""
        self.clock.advance(LONGEST_PAUSE)
        return self.endpoint.wires[-1]

    def test_counted(self) -> None:
        """Only those that can be used."""
        link = self.link()
        self.assertEqual(link.generation, 0)
        self.endpoint.wires[0].answer_first()
        self.assertEqual(link.generation, 1)
        self.endpoint.wires[0].lose()
        self.assertEqual(link.generation, 1)
        self.again().lose()
        self.assertEqual(link.generation, 1)
        self.again().answer_first()
        self.assertEqual((link.generation, len(self.endpoint.wires)), (2, 3))

    def test_pauses_grow(self) -> None:
        """From tenths of a second to three, and from the beginning again after a connection that lasted."""
        backoff = Backoff(first=FIRST_BACKOFF, cap=MAX_BACKOFF, stable=STABLE, uniform=lambda low, high: high)
        self.link(backoff=backoff)
        for _ in range(2):
            pauses = [round(self.pause(), 1) for _ in range(6)]
            self.assertEqual(pauses, [0.3, 0.6, 1.2, 2.4, 3.0, 3.0])
            self.again().answer_first()
            self.clock.advance(STABLE)

    def pause(self) -> float:
        """Lose the connection; seconds until the next attempt."""
        self.endpoint.wires[-1].lose()
        tried, before = len(self.endpoint.wires), self.clock.seconds()
        while len(self.endpoint.wires) == tried:
            self.clock.advance(0.01)
        return self.clock.seconds() - before

    def test_asked_in_time(self) -> None:
        link = self.link()
        (wire,) = self.endpoint.wires
        wire.answer_first()
        asked = self.ask(link, generation=1)
        wire.answer(TIME, b"+now\r\n")
        self.assertEqual(self.successResultOf(asked), b"now")

    def test_asked_of_the_next(self) -> None:
        """A command of one connection never goes over another; one of no connection does."""
        link = self.link()
        self.endpoint.wires[0].answer_first()
        self.endpoint.wires[0].lose()
        wire = self.again()
        wire.answer_first()
        self.failureResultOf(self.ask(link, generation=1), Unavailable)
        self.failureResultOf(Deferred.fromCoroutine(link.run(b"return 1", [], [], generation=1)), Unavailable)
        self.assertEqual(wire.value(), b"")
        asked = self.ask(link)
        wire.answer(TIME, b"+now\r\n")
        self.assertEqual(self.successResultOf(asked), b"now")

    def test_asked_between(self) -> None:
        """A command without a connection waits for one, which is then another one."""
        link = self.link()
        self.endpoint.wires[0].answer_first()
        self.endpoint.wires[0].lose()
        bound, free = self.ask(link, generation=1), self.ask(link)
        self.clock.advance(PAUSE)
        wire = self.endpoint.wires[-1]
        self.assertNoResult(bound)
        wire.answer_first()
        self.failureResultOf(bound, Unavailable)
        wire.answer(TIME, b"+now\r\n")
        self.assertEqual(self.successResultOf(free), b"now")

    def test_renewed(self) -> None:
        """Waiting commands fail, and the endpoint is asked again."""
        link = self.link()
        link.renew()  # there is none yet.
        self.endpoint.wires[0].answer_first()
        asked = self.ask(link)
        link.renew()
        self.failureResultOf(asked, Unavailable)
        self.assertFalse(self.endpoint.wires[0].open)
        self.again().answer_first()
        self.assertEqual(link.generation, 2)

    def test_no_master(self) -> None:
        """A server that turns out to be a replica receives no other command, and counts as unreachable."""
        link = self.link(master=True)
        (wire,) = self.endpoint.wires
        wire.answer_first()
        wire.answer(ROLE, b"*1\r\n$5\r\nslave\r\n")
        self.assertEqual((wire.open, link.generation), (False, 0))
        self.failureResultOf(self.ask(link), Unavailable)
        wire = self.again()
        wire.answer_first()
        wire.answer(ROLE, b"*1\r\n$6\r\nmaster\r\n")
        self.assertEqual(link.generation, 1)
