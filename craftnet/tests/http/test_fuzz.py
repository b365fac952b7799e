"""Whatever comes in from outside: no traceback gets into the log, no answer is 500, and no token comes out."""

from __future__ import annotations

import re
import socket
from functools import partial
from ipaddress import ip_network
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.limits.client_address import Networks
from craftnet.limits.connection_limits import Limits
from craftnet.server.build import build
from craftnet.server.settings import Settings
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.http_fuzz import SECRET_PART, Fuzzer, LogWatch
from craftnet.tests.support.http_wire import Wire
from craftnet.tests.support.live import SECRET, LiveTestCase, in_thread, token
from craftnet.tests.support.samples import NOW, PLAYER

SEED = 20_260_115
CONNECTIONS = 400

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LIMITS = Limits(per_player=0, per_session=0, unlimited=Networks([ip_network("0.0.0.0/0")]))


class MemoryClockReactor(MemoryReactor, SteppedClock):
    """Listens on nothing, and has the time that the test says."""

    def __init__(self) -> None:
        MemoryReactor.__init__(self)
        SteppedClock.__init__(self, NOW)


class MemoryTests(SynchronousTestCase):
    """The whole service, from the sniffer to the feeds, on connections in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryClockReactor()
        options = Settings(http="tcp:8080:interface=127.0.0.1", udp="127.0.0.1:0", limits=LIMITS)
        service = build(options, self.reactor, {SECRET_VARIABLE: SECRET})
        service.listener.privilegedStartService()
        self.factory: Any = self.reactor.tcpServers[0][1]
        self.tokens: list[str] = []

    def token(self, *scopes: str) -> str:
        self.tokens.append(sign_token(SECRET.encode(), PLAYER, scopes, 600.0, self.reactor.seconds()))
        return self.tokens[-1]

    @settings(deadline=None, derandomize=True, max_examples=1500)
    @given(st.integers(0, 2**32))
    def test_any_connection(self, seed: int) -> None:
        self.tokens.clear()
        with LogWatch() as log:
            wire = Wire(self.factory)
            for piece in Fuzzer(Random(seed), self.token).connection():
                if not wire.disconnecting and not wire.disconnected:
                    wire.receive(piece)
            self.reactor.advance(3.0)
            wire.hang_up()
            self.reactor.advance(12.0)
        answer = wire.value()
        self.assertEqual(log.tracebacks, [])
        self.assertNotIn(b"500", STATUS.findall(answer))
        for secret in (SECRET_PART, *self.tokens):
            self.assertNotIn(secret.encode(), answer)
            self.assertEqual([line for line in log.lines if secret in line], [])


class SocketTests(LiveTestCase):
    """The same on real sockets, from one seed."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", limits=LIMITS, health_interval=0.5, drain_time=0.0
    )

    async def test_many_connections(self) -> None:
        with LogWatch() as log:
            answers = await in_thread(self.attack, Random(SEED))
            self.assertEqual((await self.request("GET", "/health/live")).code, 200)
        self.assertEqual(log.tracebacks, [])
        statuses = [status for answer in answers for status in STATUS.findall(answer)]
        self.assertNotIn(b"500", statuses)
        self.assertLessEqual({b"101", b"200", b"400", b"401", b"404"}, set(statuses))
        self.assertEqual([answer for answer in answers if SECRET_PART.encode() in answer], [])
        self.assertEqual([line for line in log.lines if SECRET_PART in line], [])

    def attack(self, random: Random) -> list[bytes]:
        """The answers on each connection, up to its end, or until nothing arrives for a while."""
        address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        fuzzer = Fuzzer(random, partial(token, PLAYER))
        answers = []
        for _ in range(CONNECTIONS):
            answer = b""
            with socket.create_connection(address, timeout=random.choice((10, 0.05))) as connection:
                try:
                    for piece in fuzzer.connection():
                        connection.sendall(piece)
                    if connection.gettimeout() == 10:
                        connection.shutdown(socket.SHUT_WR)  # so the server hangs up, too.
                    while octets := connection.recv(65536):
                        answer += octets
                except OSError:
                    pass  # the server reset it, or there is nothing more to come.
            answers.append(answer)
        return answers
