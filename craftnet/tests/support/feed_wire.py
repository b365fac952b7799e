"""WebSocket feeds over transports in memory, on a clock that tests turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransportWithDisconnection

from craftnet.access.authorization import Authorization
from craftnet.access.principal import ADMIN, Principal
from craftnet.contract.events import EventData
from craftnet.feeds.hub import Hub
from craftnet.feeds.player_feed import PlayerFeeds
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.sniffer import SnifferFactory
from craftnet.http.request_head import Head, parse_head
from craftnet.interfaces import ITokenVerifier
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.websocket.core.subprotocols import JSON
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.support.fakes import SteppedClock, TableAuthority
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, event

SITE = "https://craft.example"
"""The site that pages of the server itself are on."""

TOKENS = {
    "player": Principal(PLAYER, frozenset(), NOW + 1e6),
    "other": Principal(OTHER_PLAYER, frozenset(), NOW + 1e6),
    "admin": Principal(None, frozenset({ADMIN}), NOW + 1e6),
}
"""The tokens that hold."""


class FeedWire(StringTransportWithDisconnection):
    """One connection, the client's end of it."""

    def __init__(self, factory: FeedFactory | SnifferFactory) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "203.0.113.9", 4711))
        protocol = factory.buildProtocol(self.getPeer())
        assert protocol is not None
        self.protocol: Any = protocol
        protocol.makeConnection(self)

    def unregisterProducer(self) -> None:
        """As real transports do, which do not mind when there is none."""
        self.producer = None

    def head(self) -> str:
        """The status line of the answer to the handshake, which is taken away."""
        head, _, rest = self.value().partition(b"\r\n\r\n")
        self.clear()
        self.io.write(rest)
        line: bytes = head.partition(b"\r\n")[0]
        return line.decode()

    def frames(self) -> list[tuple[int, bytes]]:
        """The opcode and payload of every frame since the last time; pings are left out."""
        octets, found = self.value(), []
        self.clear()
        while octets:
            size, start = octets[1], 2
            if size == 126:
                size, start = int.from_bytes(octets[2:4], "big"), 4
            if octets[0] & 0x0F != 0x9:
                found.append((octets[0] & 0x0F, octets[start : start + size]))
            octets = octets[start + size :]
        return found

    def messages(self) -> list[dict[str, Any]]:
        """Every JSON message since the last time."""
        return [msgspec.json.decode(payload) for opcode, payload in self.frames() if opcode == 0x1]

    def closing(self) -> tuple[int, str]:
        """The code and reason of the close frame, which is the next and last."""
        ((opcode, payload),) = self.frames()
        if opcode != 0x8:
            raise AssertionError(f"no close frame: {opcode}")
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class FeedServer:
    """Feeds of the memory back end. Pings are so rare that no client is dropped for silence, unless wanted."""

    def __init__(
        self,
        limits: Limits | None = None,
        origins: Origins | None = None,
        *,
        ping_interval: int = 3600,
        authority: ITokenVerifier | None = None,
    ) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.sources = Sources.of(MemoryBackend(self.clock, MemorySettings()))
        self.monitor = Monitor({}, {}, self.clock, version="1")
        self.health = HealthFeed(self.monitor, self.clock, self.metrics)
        admission = Authorization(authority or TableAuthority(TOKENS), self.sources.sessions, self.sources.queues)
        self.hub = Hub(self.sources, self.clock, self.metrics)
        self.connections = FeedConnections(
            Subscriptions(admission, self.hub, self.health, PlayerFeeds(self.hub, self.sources.sessions)),
            self.metrics,
            self.clock,
            HandshakeGuard(limits or Limits(), origins),
            ping_interval=ping_interval,
        )
        self.factory = FeedFactory(self.connections)
        self.wires: list[FeedWire] = []

    def head(self, target: str, bearer: str | None = "player", subprotocol: str | None = JSON, **fields: str) -> Head:
        """The head of a handshake; names of further header fields are written with underscores."""
        offered = [each for each in (subprotocol, bearer and f"bearer.{bearer}") if each]
        more: Mapping[str, str] = {name.replace("_", "-"): value for name, value in fields.items()}
        lines = [
            f"GET {target} HTTP/1.1",
            *("Host: craft.example", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            *([f"Sec-WebSocket-Protocol: {', '.join(offered)}"] if offered else ()),
            *(f"{name}: {value}" for name, value in more.items()),
        ]
        return parse_head("\r\n".join(lines).encode("latin-1"))

    def wire(
        self, target: str, bearer: str | None = "player", subprotocol: str | None = JSON, **fields: str
    ) -> FeedWire:
        """A handshake, as `head` writes it."""
        wire = FeedWire(self.factory)
        self.wires.append(wire)
        wire.protocol.handshake(self.head(target, bearer, subprotocol, **fields))
        return wire

    def opened(self, target: str, bearer: str = "player", subprotocol: str = JSON) -> FeedWire:
        """A feed, its current state read."""
        wire = self.wire(target, bearer, subprotocol)
        if wire.head() != "HTTP/1.1 101 Switching Protocols":
            raise AssertionError(wire.value())
        wire.clear()
        return wire

    def apply(self, *data: EventData) -> None:
        """Events of this moment."""
        applied: Deferred[Any] = Deferred.fromCoroutine(
            self.sources.apply([event(each, self.clock.seconds()) for each in data])
        )
        applied.addErrback(lambda failure: failure.raiseException())

    def turn(self, seconds: int) -> None:
        """Time passes, and the factory's turns come."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.connections.turn()

    def refusals(self, label: str) -> float:
        """How many were counted."""
        return self.metrics.registry.get_sample_value("craftnet_refusals_total", {"reason": label}) or 0.0
