"""The port that HTTP and WebSocket share, when connections cannot be accepted."""

from __future__ import annotations

import errno
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import TestCase

from craftnet.server.listener import ACCEPT_PAUSE, LOG_INTERVAL, Listener
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS, running

FULL = OSError(errno.EMFILE, "Too many open files")
NOTHING_TO_ACCEPT = OSError(errno.EAGAIN, "Resource temporarily unavailable")

FEW_FILES = ("sh", "-c", 'ulimit -n 64 && exec "$0" "$@"', str(SCRIPTS / "twistd"))
"""A command that runs twistd with few file descriptors."""


class Reactor(Clock):
    """Listens, but by another clock."""

    def listenTCP(self, *arguments: Any, **named: Any) -> Any:
        """As in IReactorTCP."""
        return reactor.listenTCP(*arguments, **named)


class Scripted:
    """A listening socket with prescribed answers."""

    def __init__(self, real: socket.socket, answers: Iterator[OSError | socket.socket]) -> None:
        self.fileno = real.fileno
        self._answers = answers

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """As of a socket."""
        answer = next(self._answers)
        if isinstance(answer, OSError):
            raise answer
        return answer, ("192.0.2.1", 4711)


class AcceptFailureTests(TestCase):
    """With Twisted's own port."""

    def setUp(self) -> None:
        self.clock = Reactor()
        self.refused: list[str] = []
        factory = ServerFactory()
        factory.noisy = False
        self.listener = Listener(self.clock, "tcp:0:interface=127.0.0.1", factory, self.refused.append)
        self.listener.privilegedStartService()
        self.port = cast(Any, self.listener.port)
        self.real = self.port.socket
        self.addCleanup(self.stop)

    def stop(self) -> object:
        """Closes the port."""
        self.port.socket = self.real
        return self.listener.stopService()

    def accept(self, *answers: OSError | socket.socket) -> list[str]:
        """Lets the port find these answers; returns what was logged."""
        self.port.socket = Scripted(self.real, iter(answers))
        self.port.numberAccepts = 100  # in one turn; Twisted takes fewer after a turn with few.
        with capturedLogs() as events:
            self.port.doRead()
        return [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events]

    def connections(self, number: int) -> list[socket.socket]:
        """Some that may be accepted, and are closed."""
        return [socket.socket() for _ in range(number)]

    def test_one_line(self) -> None:
        """However many are closed; all are counted."""
        first = self.accept(FULL, *self.connections(5), NOTHING_TO_ACCEPT)
        self.assertEqual(len(first), 1, first)
        self.assertRegex(first[0], "New connections are closed: no file descriptor is left. Raise .*ulimit -Hn")
        self.assertEqual(self.accept(FULL, *self.connections(5), NOTHING_TO_ACCEPT), [])
        self.clock.advance(LOG_INTERVAL)
        self.assertEqual(len(self.accept(FULL, *self.connections(5), NOTHING_TO_ACCEPT)), 1)
        self.assertEqual(self.refused, ["open_files"] * 15)

    def test_nothing_can_be_accepted(self) -> None:
        """The port is left alone for a while: it stays readable, and would be tried without end."""
        for error in (errno.ENFILE, errno.ENOMEM, errno.EMFILE):
            self.clock.advance(LOG_INTERVAL)
            code = errno.errorcode[error]
            said = self.accept(*[OSError(error, code)] * 2)
            self.assertEqual(len(said), 1, said)
            self.assertIn(f"New connections are left waiting: {code}.", said[0])
            self.assertNotIn(self.port, reactor.getReaders())
            self.port.socket = self.real
            self.clock.advance(ACCEPT_PAUSE)
            self.assertIn(self.port, reactor.getReaders())

    def test_stopped_meanwhile(self) -> None:
        self.accept(OSError(errno.ENFILE, ""))
        self.port.socket = self.real
        stopping = self.listener.stopService()
        self.addCleanup(lambda: self.assertNotIn(self.port, reactor.getReaders()))
        self.addCleanup(self.clock.advance, ACCEPT_PAUSE)
        self.addCleanup(lambda: stopping)

    def test_a_client_that_closes_first(self) -> None:
        self.assertEqual(self.accept(OSError(errno.ECONNABORTED, "")), [])
        self.assertIn(self.port, reactor.getReaders())


class ProgramTests(TestCase):
    def test_out_of_files(self) -> None:
        """One line for a hundred connections, and the server works when they are gone."""
        with running("--udp", "off", command=FEW_FILES, PORT="0") as server:
            url = server.read_until("HTTP and WebSocket: (.*)")[1]
            port = int(url.rpartition(":")[2])
            connections = [socket.create_connection(("127.0.0.1", port), PROCESS_TIMEOUT) for _ in range(100)]
            server.read_until("New connections are closed: no file descriptor is left")
            for connection in connections:
                connection.close()
            wait_for(lambda: 'craftnet_refusals_total{reason="open_files"}' in read(f"{url}/metrics"))
            self.assertEqual(server.finish(), 0)
            self.assertEqual(server.text.count("descriptor"), 1, server.text)
            self.assertNotIn("EMFILE", server.text)


def read(url: str) -> str:
    """What is there; nothing, while it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=PROCESS_TIMEOUT) as response:
            text: str = response.read().decode()
            return text
    except OSError:
        return ""
