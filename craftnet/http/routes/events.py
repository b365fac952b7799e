"""`/events`: receives the crafting authority's events."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from craftnet.access.authorization import Authorization, check_may_publish
from craftnet.access.principal import Principal
from craftnet.clocks import Moment
from craftnet.contract.envelopes import AnyEvent
from craftnet.contract.events import EventsResponse, summary
from craftnet.contract.traces import parse_traceparent
from craftnet.feeds.ingest import Batch, Ingest, RawBatch
from craftnet.http.exchange import JSON, NDJSON, Call, GuardedEndpoint, Response, json_response
from craftnet.http.negotiation import GZIP, content_codings, gunzip
from craftnet.http.operations import (
    Answer,
    ApiOperation,
    Body,
    Channel,
    Message,
    Named,
    OneOf,
    Several,
    Tag,
    Text,
    by_method,
)

EVENT = Named("Event", AnyEvent, "An event of any type.")


class Events(GuardedEndpoint[Batch | RawBatch]):
    """`/events`

    Arguments:
        body_limit: maximum length of a body in bytes, also after decoding.
    """

    operations = by_method(
        POST=ApiOperation(
            "publishEvents",
            "Publishes the authority's events",
            Tag.AUTHORITY,
            {202: Answer("The outcomes of the events.", EventsResponse)},
            "Needs the scope `crafting:publish`. The body is one event, an array of events, or one event a line; gzip"
            " is accepted. An event whose `event_id` was accepted before is a duplicate and changes nothing; one that"
            " is rejected does not affect its neighbours. Unknown fields are ignored.",
            bodies={JSON: Body(OneOf((EVENT, Several(EVENT)))), NDJSON: Body(Text)},
            channel=Channel(
                "events",
                "http",
                "The crafting authority's events.",
                receives=tuple(Message(kind, (kind.__doc__ or "").partition(": ")[2]) for kind in get_args(AnyEvent)),
            ),
        )
    )
    methods = ("POST",)
    accepts = frozenset({JSON, NDJSON})
    decodes = GZIP

    def __init__(self, admission: Authorization, ingest: Ingest, now: Callable[[], Moment], body_limit: int) -> None:
        super().__init__(admission)
        self._ingest = ingest
        self._now = now
        self._body_limit = body_limit

    def read(self, call: Call) -> Batch | RawBatch:
        """Parses the events."""
        coded = content_codings(call.headers.get("content-encoding"))
        body = gunzip(call.body, self._body_limit) if coded else call.body
        return self._ingest.read(body, newline_delimited=call.media_type == NDJSON, now=self._now())

    async def decide(self, call: Call, principal: Principal, asked: Batch | RawBatch) -> Response:
        """202 with the outcome of each event."""
        check_may_publish(principal)
        outcomes = await self._ingest.apply(asked, parse_traceparent(call.headers.get("traceparent")))
        return json_response(summary(outcomes), status=202)
