"""`/events`: where the crafting authority sends its events."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from craftnet.access.admission import Admission
from craftnet.clocks import Moment
from craftnet.events import summary
from craftnet.http.exchange import JSON, NDJSON, Call, Endpoint, Response
from craftnet.ingest import Ingest


class Events(Endpoint):
    """`/events`"""

    methods = ("POST",)
    accepts = frozenset({JSON, NDJSON})

    def __init__(self, admission: Admission, ingest: Ingest, now: Callable[[], Moment]) -> None:
        self._admission = admission
        self._ingest = ingest
        self._now = now

    async def respond(self, call: Call) -> Response:
        """202 with what became of each event."""
        await self._admission.publish(call.token)
        outcomes = await self._ingest.publish(call.body, newline_delimited=call.media_type == NDJSON, now=self._now())
        return Response(202, msgspec.json.encode(summary(outcomes)))
