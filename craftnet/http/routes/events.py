"""`/events`: receives the crafting authority's events."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from craftnet.access.authorization import Authorization, check_may_publish
from craftnet.access.principal import Principal
from craftnet.clocks import Moment
from craftnet.contract.events import summary
from craftnet.feeds.ingest import Batch, Ingest
from craftnet.http.exchange import JSON, NDJSON, Call, GuardedEndpoint, Response
from craftnet.http.negotiation import GZIP, content_codings, gunzip


class Events(GuardedEndpoint[Batch]):
    """`/events`

    Arguments:
        body_limit: maximum length of a body in bytes, also after decoding.
    """

    methods = ("POST",)
    accepts = frozenset({JSON, NDJSON})
    decodes = GZIP

    def __init__(self, admission: Authorization, ingest: Ingest, now: Callable[[], Moment], body_limit: int) -> None:
        super().__init__(admission)
        self._ingest = ingest
        self._now = now
        self._body_limit = body_limit

    def read(self, call: Call) -> Batch:
        """Parses the events."""
        coded = content_codings(call.header("Content-Encoding"))
        body = gunzip(call.body, self._body_limit) if coded else call.body
        return self._ingest.read(body, newline_delimited=call.media_type == NDJSON, now=self._now())

    async def decide(self, call: Call, principal: Principal, asked: Batch) -> Response:
        """202 with the outcome of each event."""
        check_may_publish(principal)
        return Response(202, msgspec.json.encode(summary(await self._ingest.apply(asked))))
