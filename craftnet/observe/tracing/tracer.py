"""Creates spans for sampled events and requests; all others cost nothing here.

Every span names its parent: there is no current one. Contexts do not follow the chains of Deferreds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from craftnet.clocks import IClock
from craftnet.contract.events import Event, EventOutcome, EventVerdict
from craftnet.contract.traces import TraceParent, parse_traceparent
from craftnet.crafting.updates import Update
from craftnet.errors import Refusal
from craftnet.interfaces import ISubscriber
from craftnet.observe.tracing.sampling import MAX_TRACED, Sampler, trace_of_event

MAX_DELIVERIES = 20
"""Deliveries of one update that have a span each; the update's span has the number of all."""

NANOSECONDS = 1_000_000_000

T = TypeVar("T")


class TraceIds(RandomIdGenerator):
    """Generates random ids, except for the next trace, whose id can be set.

    Attributes:
        following: the id of the next trace; None: a random one.
    """

    following: int | None = None

    def generate_trace_id(self) -> int:
        """The id of a new trace."""
        given, self.following = self.following, None
        return super().generate_trace_id() if given is None else given


class Tracer:
    """Creates spans.

    Arguments:
        clock: its wall clock dates spans.
        sampler: decides which events and requests are traced.
        processor: receives finished spans.
        attributes: facts about the process in every span.
    """

    def __init__(
        self, clock: IClock, sampler: Sampler, processor: SpanProcessor, attributes: dict[str, str | int]
    ) -> None:
        self._clock = clock
        self._sampler = sampler
        self._ids = TraceIds()
        provider = TracerProvider(
            resource=Resource({"service.name": "craftnet", **attributes}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("craftnet")

    # Events

    def events(self, batch: Sequence[Event | EventOutcome], parent: TraceParent | None) -> TracedBatch | None:
        """Begins spans for the traced events of a body; None if no event is traced.

        Arguments:
            parent: the span of the authority's request.
        """
        spans: dict[int, tuple[Span, Span]] = {}
        events = list(batch)
        for index, event in enumerate(batch):
            if len(spans) >= MAX_TRACED:
                break
            if isinstance(event, Event) and self._sampler.event(parent, event.trace_id):
                span = self._event_span(event, parent)
                source = self.start("apply", span.get_span_context())
                spans[index] = span, source
                events[index] = replace(event, trace=traceparent_of(span))
        return TracedBatch(self, events, spans) if spans else None

    def _event_span(self, event: Event, parent: TraceParent | None) -> Span:
        attributes = {
            "craftnet.event.type": type(event.data).__name__,
            "craftnet.event.id": str(event.event_id),
            "craftnet.event.source": event.source,
        }
        if event.session_id is not None:
            attributes["craftnet.session.id"] = str(event.session_id)
        if event.correlation_id is not None:
            attributes["craftnet.correlation_id"] = str(event.correlation_id)
        if event.trace_id is not None:
            attributes["craftnet.event.trace_id"] = event.trace_id
        if parent is None:
            self._ids.following = trace_of_event(event.trace_id)
        return self.start(
            "event", None if parent is None else context_of(parent), SpanKind.CONSUMER, attributes=attributes
        )

    # Feeds

    def deliver(self, update: Update, subscribers: Iterable[ISubscriber]) -> None:
        """Delivers an update, with spans if its event is traced.

        The update has a span below its event's. A single delivery has one below that; of several, each has a trace of
        its own with a link to the update.
        """
        parent = None if update.accepted is None else _trace_behind(update)
        if parent is None:
            for subscriber in subscribers:
                subscriber.deliver(update)
            return
        span = self.start("feed", context_of(parent), attributes={"craftnet.feed.update": type(update.state).__name__})
        context, began, number = span.get_span_context(), list[tuple[int, int]](), 0
        for subscriber in subscribers:
            start = self.now()
            subscriber.deliver(update)
            number += 1
            if len(began) < MAX_DELIVERIES:
                began.append((start, self.now()))
        for start, end in began:
            single = number == 1
            links = () if single else (Link(context),)
            delivery = self.start("delivery", context if single else None, SpanKind.PRODUCER, links=links, at=start)
            delivery.end(end)
        span.set_attribute("craftnet.deliveries", number)
        span.end(self.now())

    # Requests

    def request(self, transport: str, route: str, client: TraceParent | None) -> Span | None:
        """Begins the span of a client's request, handshake or connect; None if it is not traced.

        Arguments:
            client: the span that the client names, which is linked.
        """
        if not self._sampler.request():
            return None
        name = "handshake" if transport != "http" else "connect" if route.endswith("/connect") else "request"
        links = () if client is None else (Link(context_of(client)),)
        attributes = {"craftnet.transport": transport, "http.route": route}
        return self.start(name, None, SpanKind.SERVER, attributes=attributes, links=links)

    def finish(self, span: Span, refusal: BaseException | None = None) -> None:
        """Ends the span of a request, with the reason if it was refused."""
        if isinstance(refusal, Refusal):
            span.set_attribute("http.response.status_code", refusal.status)
        if refusal is not None and not (isinstance(refusal, Refusal) and refusal.status < 500):
            span.set_status(StatusCode.ERROR, type(refusal).__name__)
        span.end(self.now())

    # Commands

    async def command(self, name: str, trace: str, running: Awaitable[T]) -> T:
        """Waits for a command of Redis, with a span below that of an event.

        Arguments:
            trace: the event's span, as in traceparent.
        """
        parent = parse_traceparent(trace)
        span = self.start(
            f"redis {name}",
            None if parent is None else context_of(parent),
            SpanKind.CLIENT,
            attributes={"db.system.name": "redis", "db.operation.name": name},
        )
        try:
            result = await running
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end(self.now())
        return result

    # All

    def now(self) -> int:
        """The present date, nanoseconds since 1970."""
        return int(self._clock.wall() * NANOSECONDS)

    def start(
        self,
        name: str,
        parent: SpanContext | None,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        attributes: dict[str, str] | None = None,
        links: Sequence[Link] = (),
        at: int | None = None,
    ) -> Span:
        """Begins a span.

        Arguments:
            parent: None: it begins a trace.
            at: when it began, nanoseconds since 1970; None: now.
        """
        above = set_span_in_context(NonRecordingSpan(parent or _NO_PARENT))
        return self._tracer.start_span(
            name, above, kind, attributes, links=links, start_time=self.now() if at is None else at
        )


_NO_PARENT = SpanContext(0, 0, is_remote=False)


class TracedBatch:
    """The spans of the events of one body.

    Attributes:
        events: the body, in which each traced event names its span.
    """

    def __init__(self, tracer: Tracer, events: list[Event | EventOutcome], spans: dict[int, tuple[Span, Span]]) -> None:
        self.events: Sequence[Event | EventOutcome] = events
        self._tracer = tracer
        self._spans = spans

    def finish(self, outcomes: Sequence[EventOutcome]) -> None:
        """Ends the spans with the outcomes of their events; without outcomes, no event was applied."""
        now = self._tracer.now()
        for index, (span, source) in self._spans.items():
            source.end(now)
            if not outcomes:
                span.set_status(StatusCode.ERROR, "unavailable")
            else:
                span.set_attribute("craftnet.event.verdict", outcomes[index].verdict.value)
                if outcomes[index].verdict is EventVerdict.REJECTED:
                    span.set_status(StatusCode.ERROR, outcomes[index].reason)
            span.end(now)


def context_of(parent: TraceParent) -> SpanContext:
    """A span of another process."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)


def traceparent_of(span: Span) -> str:
    """A span, as in traceparent."""
    context = span.get_span_context()
    return TraceParent(f"{context.trace_id:032x}", f"{context.span_id:016x}", sampled=True).text


def _trace_behind(update: Update) -> TraceParent | None:
    trace = getattr(update.state, "trace", None)
    return parse_traceparent(trace) if isinstance(trace, str) else None
