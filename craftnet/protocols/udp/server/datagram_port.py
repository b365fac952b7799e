"""The server's UDP port: IPv4 and IPv6 on one socket, replies from the address that was written to. A Twisted shell.

Twisted's own port strips the zone of a link-local address, and does not know to which local address a datagram was
sent. A socket bound to every address answers from the one that the system prefers, which a client behind a NAT, or with
a connected socket, never receives. So this port asks the system for the address (IP_PKTINFO, RFC 3542 section 6) and
passes it on when it answers. A socket bound to one address needs none of that.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import udp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.python import log

from craftnet.protocols.udp.core.cookie import Address
from craftnet.runtime.addresses import HostPort

DATAGRAMS_PER_TURN = 64
"""Datagrams that are read before the reactor does anything else."""

Sender = Callable[[bytes, Address], object]
"""Sends a datagram to the source of another. Raises OSError when the system does not accept it."""

_WILDCARDS = frozenset({"", "0.0.0.0", "::"})

_IP_PKTINFO = 8  # Linux; the socket module of Python 3.11 has no name for it.
_HAS_PACKET_INFORMATION = sys.platform == "linux"
_ANCILLARY_SPACE = socket.CMSG_SPACE(20)  # struct in6_pktinfo, the longer of the two.
_MOST_LOCALS = 256  # local addresses that are remembered; any address of a routed prefix may be one.

_Local = tuple[tuple[int, int, bytes]]
"""Ancillary data with the local address from which a datagram is sent."""


class DatagramPort(udp.Port):
    """A UDP port.

    It reads at most `DATAGRAMS_PER_TURN` in one turn of the reactor, whatever their size: the kernel keeps the rest.

    Arguments:
        listen: an IP address, with a zone (`fe80::1%eth0`) where it needs one; "::" for every address of both families,
            "0.0.0.0" for every IPv4 address, "" for as much of both as the system has. Port 0 for any free one.
        protocol: `datagramReceived` is called with an `Address`: host and port, and what `sender` needs besides.
        max_size: maximum bytes of a datagram; the rest of a longer one is lost.
    """

    def __init__(self, listen: HostPort, protocol: DatagramProtocol, max_size: int, reactor: IReactorFDSet) -> None:
        host = listen.host or ("::" if _has_ipv6() else "0.0.0.0")
        interface, _, self._zone = host.partition("%")
        super().__init__(listen.port, protocol, interface, max_size, reactor)
        self._asks = interface in _WILDCARDS and _HAS_PACKET_INFORMATION
        self._ipv6 = self.addressFamily == socket.AF_INET6
        self._locals: dict[bytes, _Local] = {}  # by the system's ancillary data of received datagrams.

    def createInternetSocket(self) -> socket.socket:
        """See `twisted.internet.base.BasePort`."""
        made = _Socket(self.addressFamily, self.socketType)
        made.setblocking(False)
        if self._ipv6:
            made.zone = socket.if_nametoindex(self._zone) if self._zone else 0
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if self._asks and self._ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif self._asks:
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return made

    def doRead(self) -> None:
        """The socket has datagrams."""
        received = self.protocol.datagramReceived
        read: Any = self.socket.recvmsg if self._asks else self.socket.recvfrom
        size = _ANCILLARY_SPACE if self._asks else 0
        most, ipv6, locals_ = self.maxPacketSize, self._ipv6, self._locals
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                if not size:
                    datagram, address = read(most)
                elif ipv6:
                    datagram, ((_, _, information),), _, (host, port, _, zone) = read(most, size)
                    address = (host, port, zone, locals_.get(information) or self._local(information))
                else:
                    datagram, ((_, _, information),), _, (host, port) = read(most, size)
                    address = (host, port, 0, locals_.get(information) or self._local(information))
            except OSError:
                return  # nothing is left; or an error that an earlier datagram caused.
            except ValueError:
                continue  # its destination is unknown: it cannot be answered.
            try:
                received(datagram, address)
            except Exception:
                log.err()

    def sender(self) -> Sender:
        """The function that sends datagrams to addresses that this port passed to its protocol."""
        if not self._asks:
            return cast("Sender", self.socket.sendto)
        send = self.socket.sendmsg

        def answer(datagram: bytes, address: tuple[str, int, int, _Local]) -> int:
            host, port, zone, local = address
            return send((datagram,), local, 0, (host, port, 0, zone) if zone else (host, port))

        return cast("Sender", answer)

    def _local(self, information: bytes) -> _Local:
        """The ancillary data that makes a reply leave from the destination of a datagram.

        The interface is the system's choice, except for a link-local address, which needs one.
        """
        if self._ipv6:  # struct in6_pktinfo: the address, then the interface.
            address = information[:16]
            interface = information[16:20] if address[0] == 0xFE and address[1] & 0xC0 == 0x80 else bytes(4)
            local: _Local = ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, address + interface),)
        else:  # struct in_pktinfo: the interface, the address to reply from, the address that was written to.
            local = ((socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + information[8:12] + bytes(4)),)
        if len(self._locals) >= _MOST_LOCALS:
            self._locals.clear()
        self._locals[information] = local
        return local


def check_free(listen: HostPort, reactor: IReactorFDSet) -> None:
    """Checks that a port could be opened at this address now.

    Raises:
        CannotListenError: it could not.
    """
    trying = DatagramPort(listen, DatagramProtocol(), 1, reactor)
    try:
        with trying.createInternetSocket() as attempt:
            attempt.bind((trying.interface, listen.port))
    except OSError as error:
        raise CannotListenError(listen.host, listen.port, error) from None


class _Socket(socket.socket):
    """A socket that is bound in its zone: Python parses the zone in an address's text, and then drops it."""

    zone = 0

    def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # what Twisted calls it with.
        super().bind((*address, 0, self.zone) if self.zone else address)


def _has_ipv6() -> bool:
    """Whether one socket can serve both families here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
