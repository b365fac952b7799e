"""HTTP over a transport in memory: what tests of the HTTP interface share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.handover import IHandshakeProtocol
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.sniffer import SnifferFactory, StreamFactory
from craftnet.http.request_head import Head
from craftnet.limits.client_address import NO_NETWORKS, Networks
from craftnet.limits.connection_limits import Limits
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.fakes import SteppedClock

UPGRADE = b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
"""The header fields that make a request a handshake."""


def request(
    target: str = "/", method: str = "GET", fields: bytes = b"Host: craft.example\r\n", body: bytes = b""
) -> bytes:
    """A whole request; a body gets its Content-Length."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (method.encode(), target.encode(), fields, length, body)


class Answer(Struct):
    """One response, taken apart; the names of `fields` are in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)


def answers(octets: bytes, *, bodies: bool = True) -> Iterator[Answer]:
    """Every response in a stream of them; without `bodies`, they answer HEAD."""
    while octets:
        head, _, octets = octets.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(fields.get("content-length", "0")) if bodies else 0
        yield Answer(int(first.split(" ")[1]), fields, octets[:length])
        octets = octets[length:]


class Wire(StringTransport):
    """A transport that knows its protocol, as real ones do."""

    protocol: IProtocol

    def __init__(self, factory: Factory[Any], peer: IAddress | None = None) -> None:
        super().__init__(peerAddress=peer)
        protocol = factory.buildProtocol(self.getPeer())
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self)

    def receive(self, octets: bytes) -> None:
        """Octets come in."""
        self.protocol.dataReceived(octets)

    def hang_up(self) -> None:
        """The client goes away, if it has not yet."""
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def take(self, *, bodies: bool = True) -> list[Answer]:
        """The responses since the last time."""
        octets = self.value()
        self.clear()
        return list(answers(octets, bodies=bodies))

    def ask(self, octets: bytes) -> Answer:
        """Send a request; its one response."""
        self.receive(octets)
        (answer,) = self.take()
        return answer


@implementer(IHandshakeProtocol)
class Listener(Protocol):
    """Stands for a WebSocket protocol: records what it receives."""

    def __init__(self) -> None:
        self.received = b""

    def handshake(self, head: Head) -> None:
        """Keep it, as it travels."""
        self.received += head.octets

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data


class Listeners(ServerFactory):
    """Stands for a WebSocket factory; when `full`, it refuses every client."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Listener] = []
        self.full = False

    def buildProtocol(self, addr: IAddress | None) -> Listener | None:
        """Another one."""
        if self.full:
            return None
        self.built.append(Listener())
        return self.built[-1]


class House:
    """A site behind a sniffer, and wires to it."""

    def __init__(
        self,
        site: HttpSite,
        clock: SteppedClock,
        metrics: Metrics,
        limits: Limits | None = None,
        proxies: Networks = NO_NETWORKS,
        streams: StreamFactory | None = None,
    ) -> None:
        self.clock = clock
        self.metrics = metrics
        self.listeners = Listeners()
        self.wires: list[Wire] = []
        self.half_open = HalfOpenConnections(metrics, limits, proxies)
        self.factory = SnifferFactory(
            site, self.listeners, clock, self.half_open, streams=streams, head_limit=16384, timeout=10.0
        )

    def wire(self) -> Wire:
        """A new connection."""
        self.wires.append(Wire(self.factory))
        return self.wires[-1]

    def refusals(self, label: str) -> float:
        """How many were counted."""
        return self.metrics.registry.get_sample_value("craftnet_refusals_total", {"reason": label}) or 0.0
