"""The admin feed: pushes the overview every second, and the views and traces that each client subscribed to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from msgspec import Struct
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.access.principal import Principal
from craftnet.admin.actions import OperatorActions
from craftnet.admin.tracing import Traces
from craftnet.admin.views import PageAsked, Views
from craftnet.clocks import IClock
from craftnet.contract.admin.feed import (
    AdminError,
    AdminHello,
    AdminRequest,
    OverviewMessage,
    SeriesMessage,
    Subscribe,
    TraceEntry,
    TraceMessage,
    TraceRequest,
    Unsubscribe,
    ViewMessage,
)
from craftnet.contract.messages import MALFORMED, rfc3339, to_json
from craftnet.crafting.updates import KeyedUpdate, Update
from craftnet.errors import BadRequest, Refusal, TooManyRequests, failed

INTERVAL = 1.0
"""Seconds between two overviews, and between two checks of a view for changes."""

MAX_SUBSCRIPTIONS = 16
"""Maximum number of views to which one client subscribes."""

MAX_TRACES = 4
"""Maximum number of traces of one client."""

MAX_BACKLOG = 32_768
"""Waiting bytes of a client beyond which the feed drops entries of its traces."""

_log = Logger()
_requests = msgspec.json.Decoder(AdminRequest)


class AdminSubscriber(Protocol):
    """A connection that receives the feed: an `ISubscriber` that reports its backlog."""

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""

    @property
    def backlog(self) -> int:
        """The number of bytes that wait until the client reads."""


class _View:
    """A subscription of one client to a view.

    Attributes:
        asked: the view and its argument.
        sent: the data that the client has, as JSON.
        busy: whether the view is being computed.
    """

    def __init__(self, asked: Subscribe) -> None:
        self.asked = asked
        self.sent = b""
        self.busy = False


class _Client:
    """One client: its subscriptions by their ids."""

    def __init__(self) -> None:
        self.views: dict[str, _View] = {}
        self.traces: dict[str, Callable[[], None]] = {}

    def drop(self, name: str) -> None:
        """Ends a subscription; ignores an unknown name."""
        self.views.pop(name, None)
        stop = self.traces.pop(name, None)
        if stop is not None:
            stop()


class AdminFeed(Service):
    """All clients of the admin feed; idle while there are none.

    Arguments:
        views: computes the answers to subscriptions.
        traces: traces sessions.
        actions: knows the rights of a token.
    """

    def __init__(self, views: Views, traces: Traces, actions: OperatorActions, clock: IClock) -> None:
        self._views = views
        self._traces = traces
        self._actions = actions
        self._clock = clock
        self._clients: dict[AdminSubscriber, _Client] = {}
        self._nodes: list[str] = []
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    def stopService(self) -> None:
        """Stops the feed; the owners of the connections close them."""
        super().stopService()
        if self._ticks.running:
            self._ticks.stop()

    def subscribe(self, principal: Principal, subscriber: AdminSubscriber) -> Deferred[None]:
        """Adds a client and delivers its first messages at once."""
        self._clients[subscriber] = _Client()
        now = rfc3339(self._clock.wall())
        self._send(subscriber, AdminHello(timestamp=now, info=self._actions.info(principal)), "hello")
        if not self._ticks.running:
            self._ticks.start(INTERVAL, now=False)
        return Deferred.fromCoroutine(self._begin(subscriber))

    def unsubscribe(self, subscriber: AdminSubscriber) -> None:
        """Removes a client; ignores an unknown one."""
        client = self._clients.pop(subscriber, None)
        for name in [] if client is None else [*client.views, *client.traces]:
            assert client is not None
            client.drop(name)
        if not self._clients and self._ticks.running:
            self._ticks.stop()

    def send_heartbeat(self, subscriber: AdminSubscriber) -> None:
        """Does nothing, because the feed delivers an overview every second."""

    def receive(self, subscriber: AdminSubscriber, payload: bytes) -> None:
        """Handles a message of a client."""
        client = self._clients.get(subscriber)
        if client is None:
            return
        try:
            request = _requests.decode(payload)
        except MALFORMED as error:
            self._refuse(subscriber, BadRequest(f"The message is not valid: {error}."), None)
            return
        match request:
            case Unsubscribe(id=name):
                client.drop(name)
            case TraceRequest(id=name):
                client.drop(name)
                if len(client.traces) >= MAX_TRACES:
                    self._refuse(subscriber, _too_many("traces", MAX_TRACES), name)
                    return
                client.traces[name] = lambda: None
                following = Deferred.fromCoroutine(self._follow(subscriber, client, request))
                following.addErrback(self._failed, subscriber, name)
            case Subscribe(id=name):
                client.drop(name)
                if len(client.views) >= MAX_SUBSCRIPTIONS:
                    self._refuse(subscriber, _too_many("subscriptions", MAX_SUBSCRIPTIONS), name)
                    return
                view = client.views[name] = _View(request)
                self._look(subscriber, client, view)

    async def _begin(self, subscriber: AdminSubscriber) -> None:
        series = SeriesMessage(timestamp=rfc3339(self._clock.wall()), series=await self._views.series())
        if subscriber in self._clients:
            self._send(subscriber, series, "series")
            self._send(subscriber, await self._overview(), "overview")

    def _tick(self) -> Deferred[None]:
        """Delivers the overview to all clients, and the views that have changed."""
        for subscriber, client in tuple(self._clients.items()):
            for view in tuple(client.views.values()):
                self._look(subscriber, client, view)
        overview = Deferred.fromCoroutine(self._push_overview())
        return overview.addErrback(lambda failure: _log.failure("the overview could not be computed", failure))

    async def _push_overview(self) -> None:
        message = await self._overview()
        update = _update(message, "overview")  # one for all, so that it is encoded once.
        nodes = [each.node for each in message.overview.nodes]
        changed, self._nodes = nodes != self._nodes and bool(self._nodes), nodes
        series = await self._views.series() if changed else None
        for subscriber in tuple(self._clients):
            if series is not None:
                self._send(subscriber, SeriesMessage(timestamp=message.timestamp, series=series), "series")
            if subscriber in self._clients:
                subscriber.deliver(update)

    async def _overview(self) -> OverviewMessage:
        overview, point = await self._views.overview()
        return OverviewMessage(timestamp=overview.timestamp, overview=overview, point=point)

    def _look(self, subscriber: AdminSubscriber, client: _Client, view: _View) -> None:
        """Computes a view, and delivers it if it has changed."""
        if not view.busy:
            view.busy = True
            reading = Deferred.fromCoroutine(self._read(subscriber, client, view))
            reading.addErrback(self._failed, subscriber, view.asked.id, view)

    async def _read(self, subscriber: AdminSubscriber, client: _Client, view: _View) -> None:
        try:
            data = to_json(await self._data(view.asked))
        finally:
            view.busy = False
        if client.views.get(view.asked.id) is view and data != view.sent:
            view.sent = data
            now = rfc3339(self._clock.wall())
            message = ViewMessage(id=view.asked.id, timestamp=now, view=view.asked.view, data=msgspec.Raw(data))
            self._send(subscriber, message, f"view {view.asked.id}")

    def _data(self, asked: Subscribe) -> Awaitable[Struct]:
        views = self._views
        page = PageAsked(asked.limit, asked.cursor, asked.search, asked.station_type)
        match asked.view:
            case "sessions":
                return views.sessions(page)
            case "queues":
                return views.queues(page)
            case "session" if asked.session_id is not None:
                return views.session(asked.session_id)
            case "player" if asked.player_id is not None:
                return views.player(asked.player_id)
            case "slow-consumers":
                return views.slow_consumers()
            case "security-events":
                return views.security_events(asked.limit)
            case "health":
                return views.health()
            case _:
                raise BadRequest(f"The view {asked.view} needs {asked.view}_id.")

    async def _follow(self, subscriber: AdminSubscriber, client: _Client, asked: TraceRequest) -> None:
        sink = _TraceSink(self, subscriber, asked.id)
        stop = await self._traces.follow(asked.session_id, sink)
        if asked.id in client.traces and subscriber in self._clients:
            client.traces[asked.id] = stop
        else:
            stop()  # it was ended meanwhile.

    def _failed(self, failure: Failure, subscriber: AdminSubscriber, name: str, view: _View | None = None) -> None:
        error = failure.value
        if not isinstance(error, Refusal):
            _log.failure("a view could not be computed", failure)
            error = failed()
        if view is None:
            client = self._clients.get(subscriber)
            if client is not None:
                client.drop(name)
        elif view.sent == (said := error.message.encode()):
            return  # as before.
        else:
            view.sent = said
        self._refuse(subscriber, error, name)

    def _refuse(self, subscriber: AdminSubscriber, refusal: Refusal, name: str | None) -> None:
        now = rfc3339(self._clock.wall())
        message = AdminError(timestamp=now, code=refusal.status, message=refusal.message, id=name)
        self._send(subscriber, message, f"error {name}")

    def send_trace(self, subscriber: AdminSubscriber, name: str, entries: list[TraceEntry], dropped: int) -> None:
        """Delivers entries of a trace, which may wait in the queue because their number is bounded."""
        now = rfc3339(self._clock.wall())
        message = TraceMessage(id=name, timestamp=now, entries=entries, dropped=dropped)
        if subscriber in self._clients:
            subscriber.deliver(KeyedUpdate(state=None, messages=(message,)))  # type: ignore[arg-type]  # ours.

    def _send(self, subscriber: AdminSubscriber, message: Struct, key: str) -> None:
        if subscriber in self._clients:
            subscriber.deliver(_update(message, key))


class _TraceSink:
    """Delivers a trace to one client, and drops entries while the client does not read."""

    def __init__(self, feed: AdminFeed, subscriber: AdminSubscriber, name: str) -> None:
        self._feed = feed
        self._subscriber = subscriber
        self._name = name
        self._dropped = 0

    def __call__(self, entries: list[TraceEntry], dropped: int) -> None:
        """As in `Sink`."""
        self._dropped += dropped
        if self._subscriber.backlog > MAX_BACKLOG:
            self._dropped += len(entries)
            return
        dropped, self._dropped = self._dropped, 0
        self._feed.send_trace(self._subscriber, self._name, entries, dropped)


def _update(message: Struct, key: str) -> KeyedUpdate:
    return KeyedUpdate(state=None, messages=(message,), conflatable=True, key=key)  # type: ignore[arg-type]  # ours.


def _too_many(what: str, most: int) -> Refusal:
    return TooManyRequests(f"A feed has at most {most} {what}: unsubscribe from another.", retry_after=1, limit=most)
