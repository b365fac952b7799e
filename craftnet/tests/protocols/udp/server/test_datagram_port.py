from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.server.datagram_port import DATAGRAMS_PER_TURN, DatagramPort
from craftnet.runtime.addresses import HostPort, parse_host_port

TIMEOUT = 5.0
"""Seconds that a client waits for a datagram that is already there."""


class Echo(DatagramProtocol):
    """Answers each datagram, and keeps where it came from."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Answer."""
        self.addresses.append(addr)
        if datagram == b"fault":
            raise ZeroDivisionError
        cast("DatagramPort", self.transport).sender()(datagram, addr)


class PortTests(SynchronousTestCase):
    """Real sockets. The reactor does not run: on this machine a datagram arrives at once."""

    def _port(self, listen: str) -> DatagramPort:
        self.echo = Echo()
        port = DatagramPort(parse_host_port(listen), self.echo, 1201, cast("IReactorFDSet", reactor))
        port.startListening()
        self.addCleanup(port.connectionLost)
        self.addCleanup(port.stopReading)
        return port

    @contextmanager
    def _client(self, address: str, port: DatagramPort) -> Iterator[socket.socket]:
        """A socket that receives only from that address."""
        family, kind, _, _, server = socket.getaddrinfo(address, port.getHost().port, type=socket.SOCK_DGRAM)[0]
        try:
            client = socket.socket(family, kind)
        except OSError as error:
            raise SkipTest(f"no sockets for {address}: {error}") from None
        with client:
            client.settimeout(TIMEOUT)
            try:
                client.connect(server)
            except OSError as error:
                raise SkipTest(f"no way to {address}: {error}") from None
            yield client

    def _answers(self, listen: str, *addresses: str) -> None:
        port = self._port(listen)
        for address in addresses:
            with self._client(address, port) as client:
                client.send(b"to " + address.encode())
                port.doRead()
                self.assertEqual(client.recv(100), b"to " + address.encode())

    def test_replies_leave_from_the_address_that_was_written_to(self) -> None:
        """On every address, the system would choose 127.0.0.1 as the source of all of them."""
        for listen in ("0.0.0.0:0", "[::]:0", "0"):
            self._answers(listen, "127.0.0.2", "127.0.0.1", "127.99.1.2")

    def test_both_families_on_one_socket(self) -> None:
        for listen in ("[::]:0", "0"):
            self._answers(listen, "::1", "127.0.0.1")

    def test_one_address(self) -> None:
        self._answers("127.0.0.3:0", "127.0.0.3")

    def test_one_ipv6_address(self) -> None:
        try:
            self._port("[::1]:0")
        except CannotListenError as error:
            raise SkipTest(f"no IPv6 on this machine: {error}") from None
        self._answers("[::1]:0", "::1")

    def test_link_local_addresses_have_a_zone(self) -> None:
        """Bound to one, and bound to all."""
        zoned = _link_local()
        self._answers(f"[{zoned}]:0", zoned)
        self._answers("0", zoned)
        self.assertRaises(CannotListenError, self._port, "[fe80::1%no-such-if]:0")

    def test_where_a_datagram_was_sent_to_is_part_of_where_it_came_from(self) -> None:
        """So that a client which writes to another address of ours is answered from there."""
        port = self._port("0.0.0.0:0")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for address in ("127.0.0.1", "127.0.0.2"):
                client.sendto(b"x", (address, port.getHost().port))
            port.doRead()
        one, other = self.echo.addresses
        self.assertEqual(one[:2], other[:2])
        self.assertNotEqual(one, other)

    def test_a_taken_port(self) -> None:
        port = self._port("0")
        self.assertRaises(CannotListenError, self._port, f"{port.getHost().port}")
        self.assertRaises(CannotListenError, self._port, f"127.0.0.1:{port.getHost().port}")

    def test_a_turn_is_bounded(self) -> None:
        """Whatever the datagrams are: empty ones count as well."""
        port = self._port("127.0.0.1:0")
        with self._client("127.0.0.1", port) as client:
            for _ in range(DATAGRAMS_PER_TURN + 3):
                client.send(b"")
            port.doRead()
            self.assertEqual(len(self.echo.addresses), DATAGRAMS_PER_TURN)
            port.doRead()
            self.assertEqual(len(self.echo.addresses), DATAGRAMS_PER_TURN + 3)

    def test_a_fault_of_the_protocol_ends_nothing(self) -> None:
        port = self._port("127.0.0.1:0")
        with self._client("127.0.0.1", port) as client:
            client.send(b"fault")
            client.send(b"more")
            port.doRead()
            self.assertEqual(client.recv(100), b"more")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_without_ipv6(self) -> None:
        """Where the system has none, every address is every IPv4 address."""

        def refuse(family: int, *arguments: int) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no IPv6")
            return made(family, *arguments)

        made = socket.socket
        self.patch(socket, "socket", refuse)
        self._answers("0", "127.0.0.1", "127.0.0.2")

    def test_the_empty_host_is_every_address(self) -> None:
        self.assertEqual(parse_host_port("8082"), HostPort("", 8082))


def _link_local() -> str:
    """A link-local address of this machine, with its zone."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text(encoding="ascii").splitlines() if table.exists() else []:
        octets, _, _, scope, _, name = line.split()
        if scope == "20":
            return f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(octets))}%{name}"
    raise SkipTest("no link-local IPv6 address on this machine")
