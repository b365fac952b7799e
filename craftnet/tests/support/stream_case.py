"""Event streams of a site over transports in memory: what tests of them share."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from craftnet.contract.events import EventData
from craftnet.http.chunked_body import ChunkedBody
from craftnet.limits.connection_limits import Limits
from craftnet.tests.support.event_source import Event, EventSource
from craftnet.tests.support.http_wire import Wire, request
from craftnet.tests.support.samples import event
from craftnet.tests.support.site_case import HOST, SiteTestCase, bearer


class Stream:
    """The client's end of one stream."""

    def __init__(self, wire: Wire, octets: bytes) -> None:
        self.wire = wire
        wire.receive(octets)
        head, _, self._rest = wire.value().partition(b"\r\n\r\n")
        wire.clear()
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.source = EventSource()
        self.body = ChunkedBody()

    def events(self) -> list[Event]:
        """Every event since the last time."""
        octets, self._rest = self._rest + self.wire.value(), b""
        self.wire.clear()
        if "transfer-encoding" in self.fields and octets:
            octets = self.body.feed(octets)
        return self.source.feed(octets)

    def messages(self) -> list[dict[str, Any]]:
        """The data of every event since the last time."""
        return [msgspec.json.decode(each.data) for each in self.events()]

    def closing(self) -> tuple[int, str]:
        """The code and reason of the last event, after which the stream is complete."""
        *_, last = self.events()
        assert last.name == "close", last
        assert self.body.rest == b"", "the stream is cut off"
        message = msgspec.json.decode(last.data)
        return message["code"], message["reason"]


class StreamTestCase(SiteTestCase):
    """Streams of a session that runs."""

    limits = Limits(per_player=3)

    def stream(
        self, target: str, token: str = "player", fields: bytes = b"", *, version: bytes = b"HTTP/1.1"
    ) -> Stream:
        """Open one."""
        octets = request(target, fields=HOST + fields + (bearer(token) if token else b""))
        return Stream(self.house.wire(), octets.replace(b"HTTP/1.1", version, 1))

    def apply(self, *data: EventData) -> None:
        """Events of this moment."""
        applied: Deferred[Any] = Deferred.fromCoroutine(
            self.sources.apply([event(each, self.clock.seconds()) for each in data])
        )
        self.successResultOf(applied)

    def turn(self, seconds: int) -> None:
        """Time passes, and the turns come."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.connections.turn()

    def open_streams(self) -> float | None:
        """How many the metrics have."""
        return self.metrics.registry.get_sample_value("craftnet_connections", {"transport": "sse"})
