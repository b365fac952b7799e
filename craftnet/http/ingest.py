"""`/events`: where the crafting authority sends its events."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from craftnet.access.admission import Admission, publish
from craftnet.access.principal import Principal
from craftnet.clocks import Moment
from craftnet.events import summary
from craftnet.http.exchange import JSON, NDJSON, Call, GuardedEndpoint, Response
from craftnet.ingest import Batch, Ingest


class Events(GuardedEndpoint[Batch]):
    """`/events`"""

    methods = ("POST",)
    accepts = frozenset({JSON, NDJSON})

    def __init__(self, admission: Admission, ingest: Ingest, now: Callable[[], Moment]) -> None:
        super().__init__(admission)
        self._ingest = ingest
        self._now = now

    def read(self, call: Call) -> Batch:
        """The events."""
        return self._ingest.read(call.body, newline_delimited=call.media_type == NDJSON, now=self._now())

    async def decide(self, call: Call, principal: Principal, asked: Batch) -> Response:
        """202 with what became of each event."""
        publish(principal)
        return Response(202, msgspec.json.encode(summary(await self._ingest.apply(asked))))
