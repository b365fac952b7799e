"""Live traces: each event in and each frame or datagram out of a session, from all nodes to the feeds that ask.

A node traces for another node for a few seconds after each request, so that it stops for a node that is gone. Without a
trace, connections, sources and feeds do no work for tracing.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from craftnet.admin.rows import EVENT_NAMES, verdict
from craftnet.admin.this_node import ThisNode
from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.messages import rfc3339
from craftnet.errors import TooManyRequests
from craftnet.interfaces import IInspectable, ISubscriber
from craftnet.nodes.node_group import NodeGroup, Question

LEASE_SECONDS = 5.0
"""Seconds for which a node traces after each request."""

RENEWAL_SECONDS = 2.0
"""Seconds between two requests."""

FLUSH_SECONDS = 0.25
"""Seconds for which a node collects entries before it sends them."""

MAX_TRACE_ENTRIES = 100
"""Maximum number of entries collected in that time; further ones are only counted."""

MAX_TRACED_SESSIONS = 8
"""Maximum number of sessions that a node traces at once."""


class Entries(Struct, frozen=True):
    """The entries of a traced session from one node; without a session, the events of all sessions."""

    session_id: UUID | None
    entries: list[TraceEntry]
    dropped: int


TRACE: Question[UUID | None, None] = Question("trace", UUID | None, None)
ENTRIES: Question[Entries, None] = Question("entries", Entries, None)

Sink = Callable[[list[TraceEntry], int], None]
"""Receives entries, and the number of entries that were left out."""


class Traces(Service):
    """The traces that clients of this node follow, and those that this node records.

    Arguments:
        node: this node.
        group: all nodes.
    """

    def __init__(self, node: ThisNode, group: NodeGroup) -> None:
        self._node = node
        self._group = group
        self._sinks: dict[UUID | None, list[Sink]] = {}
        self._made: dict[UUID | None, _SessionTrace] = {}
        self._renewals = LoopingCall(self._renew)
        self._flushes = LoopingCall(self._flush)
        self._renewals.clock = self._flushes.clock = node.clock
        group.handle(TRACE, self._asked)
        group.handle(ENTRIES, lambda _, sent: self._received(sent))

    def stopService(self) -> None:
        """Ends all traces."""
        super().stopService()
        self._sinks.clear()
        for trace in self._made.values():
            trace.stop()
        self._made.clear()
        for loop in (self._renewals, self._flushes):
            if loop.running:
                loop.stop()

    async def follow(self, session_id: UUID | None, sink: Sink) -> Callable[[], None]:
        """Starts to pass the entries of a session to `sink`; returns a function that ends the trace.

        Arguments:
            session_id: None for the events of all sessions, without sent frames and datagrams.

        Raises:
            TooManyRequests: this node traces the maximum number of sessions.
        """
        await self._group.ask_all(TRACE, session_id)
        self._sinks.setdefault(session_id, []).append(sink)
        if not self._renewals.running and self.running:
            self._renewals.start(RENEWAL_SECONDS, now=False)

        def stop() -> None:
            sinks = self._sinks.get(session_id, [])
            if sink in sinks:
                sinks.remove(sink)
            if not sinks:
                self._sinks.pop(session_id, None)

        return stop

    def _renew(self) -> None:
        if not self._sinks:
            self._renewals.stop()
        for session_id in self._sinks:
            asking = Deferred.fromCoroutine(self._group.ask_all(TRACE, session_id))
            asking.addErrback(lambda failure: failure.trap(TooManyRequests) and None)

    def _asked(self, node: str, session_id: UUID | None) -> None:
        """Handles the request of a node for entries."""
        trace = self._made.get(session_id)
        if trace is None:
            if len(self._made) >= MAX_TRACED_SESSIONS:
                raise TooManyRequests(
                    f"This node traces {MAX_TRACED_SESSIONS} sessions already: end another trace.",
                    retry_after=round(LEASE_SECONDS),
                    limit=MAX_TRACED_SESSIONS,
                )
            trace = self._made[session_id] = _SessionTrace(self._node, session_id)
        trace.leases[node] = self._node.clock.seconds() + LEASE_SECONDS
        if not self._flushes.running and self.running:
            self._flushes.start(FLUSH_SECONDS, now=False)

    def _flush(self) -> None:
        now = self._node.clock.seconds()
        for session_id, trace in list(self._made.items()):
            trace.leases = {node: until for node, until in trace.leases.items() if until > now}
            if not trace.leases:
                trace.stop()
                del self._made[session_id]
                continue
            entries, dropped = trace.take()
            if not entries:
                continue
            sent = Entries(session_id, entries, dropped)
            for node in trace.leases:
                if node == self._group.here:
                    self._received(sent)
                else:
                    self._group.push(node, ENTRIES, sent)
        if not self._made:
            self._flushes.stop()

    def _received(self, sent: Entries) -> None:
        for sink in tuple(self._sinks.get(sent.session_id, ())):
            sink(sent.entries, sent.dropped)


class _SessionTrace:
    """Records the entries of one session at this node, or the events of all sessions.

    Attributes:
        leases: the time until which each node requests entries.
    """

    def __init__(self, node: ThisNode, session_id: UUID | None) -> None:
        self.leases: dict[str, float] = {}
        self._node = node
        self._session_id = session_id
        self._entries: list[TraceEntry] = []
        self._dropped = 0
        self._stops: list[Callable[[], None]] = []
        node.observers.append(self._event)
        if session_id is None:
            return
        node.hub.traced.setdefault(session_id, []).append(self._tap)
        for subscriber in node.hub.session_subscribers(session_id):
            self._tap(subscriber)

    def stop(self) -> None:
        """Restores connections, sources and feeds to their state without a trace."""
        self._node.observers.remove(self._event)
        if self._session_id is None:
            return
        taps = self._node.hub.traced[self._session_id]
        taps.remove(self._tap)
        if not taps:
            del self._node.hub.traced[self._session_id]
        for stop in self._stops:
            stop()

    def take(self) -> tuple[list[TraceEntry], int]:
        """Returns the entries since the last call, and the number of entries that were left out."""
        taken = self._entries, self._dropped
        self._entries, self._dropped = [], 0
        return taken

    def _tap(self, subscriber: ISubscriber) -> None:
        if IInspectable.providedBy(subscriber):
            self._stops.append(IInspectable(subscriber).trace(self._record))

    def _record(self, entry: TraceEntry) -> None:
        if len(self._entries) >= MAX_TRACE_ENTRIES:
            self._dropped += 1
            return
        node = self._node.node
        connection = None if entry.connection is None else f"{node}.{entry.connection}"
        self._entries.append(replace(entry, node=node, connection=connection))

    def _event(self, event: Event, outcome: EventOutcome) -> None:
        wanted, found = self._session_id, event.session_id
        if wanted is not None and (found is None or found.int != wanted.int):
            return
        self._record(
            TraceEntry(
                timestamp=rfc3339(event.arrived.wall),
                node="",
                direction="in",
                kind="event",
                bytes=len(msgspec.json.encode(event.data)),
                name=EVENT_NAMES[type(event.data)],
                outcome=verdict(outcome),
                content=msgspec.to_builtins(event.data),
            )
        )
