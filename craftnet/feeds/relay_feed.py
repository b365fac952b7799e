"""The relay feed: sends edges the states that they request, and every later change (`craftnet.relay.messages`).

An edge is one subscriber, whatever its number of watchers. If the sources do not remember changes themselves, the edge
also joins the feeds of what it watches, so that this node has the recent changes for watchers that come from the edge.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.access.principal import Principal
from craftnet.access.revocation.revocations import Revocation
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import MALFORMED
from craftnet.crafting.progress import Tolerance
from craftnet.devices.registry import Devices
from craftnet.errors import Refusal, TooManyRequests, Unavailable
from craftnet.feeds.forecast_feed import Forecaster
from craftnet.feeds.hub import Hub
from craftnet.feeds.relay_devices import EdgeDevices
from craftnet.feeds.relay_watches import KINDS, RelayWatch
from craftnet.interfaces import (
    IRevocationListener,
    ISubscriber,
)
from craftnet.providers.sources import Sources
from craftnet.relay.messages import (
    PROTOCOL,
    CatchUp,
    ClockShown,
    DeviceConnected,
    DeviceDisconnected,
    DeviceReported,
    EpochChanged,
    Find,
    Follow,
    FollowRefused,
    ReadClock,
    Recall,
    Refused,
    RelayAnswer,
    RelayHello,
    RelayMessage,
    Request,
    Revoked,
    Subject,
    Unfollow,
    bare,
    read_requests,
    relay_update,
)

MAX_FOLLOWED = 200_000
"""Maximum number of subjects that one edge may watch."""

REVOCATIONS_IN_MESSAGE = 500
"""Maximum number of revocations per message."""

_log = Logger()


class RelayFeeds:
    """The edges of this node.

    Arguments:
        hub: keeps the recent changes of what edges watch.
        tolerance: permitted error of an edge's copy of a progress: a small part of what watchers tolerate.
        forecaster: forecasts crafts; None: nothing does.

    Attributes:
        revocations: the revocations in force; None if tokens cannot be revoked.
        devices: the devices of players; None where they are off.
    """

    def __init__(
        self, hub: Hub, sources: Sources, clock: IClock, tolerance: Tolerance, forecaster: Forecaster | None = None
    ) -> None:
        self.hub = hub
        self.tolerance = tolerance
        self.sources = sources
        self.clock = clock
        self.forecaster = forecaster
        self.revocations: IRevocationListener | None = None
        self.devices: Devices | None = None
        self._edges: dict[ISubscriber, _Edge] = {}

    def subscribe(self, principal: Principal, subscriber: ISubscriber) -> Deferred[None]:
        """Adds an edge."""
        edge = self._edges[subscriber] = _Edge(self, subscriber)
        return Deferred.fromCoroutine(edge.open())

    def unsubscribe(self, subscriber: ISubscriber) -> None:
        """Removes an edge. Unknown ones are ignored."""
        edge = self._edges.pop(subscriber, None)
        if edge is not None:
            edge.close()

    def receive(self, subscriber: ISubscriber, payload: bytes) -> None:
        """Handles the requests of an edge."""
        edge = self._edges.get(subscriber)
        if edge is not None:
            edge.receive(payload)

    def revoked(self, revocations: Sequence[Revocation]) -> None:
        """Passes new revocations on to every edge."""
        for edge in tuple(self._edges.values()):
            edge.send(Revoked(tuple(revocations), complete=True))


class _Edge:
    """One edge and what it watches."""

    def __init__(self, feeds: RelayFeeds, subscriber: ISubscriber) -> None:
        self.sources, self.hub = feeds.sources, feeds.hub
        self.subscriber = subscriber
        self.clock, self.tolerance = feeds.clock, feeds.tolerance
        self._forecaster = feeds.forecaster
        self._revocations = feeds.revocations
        self._devices = None if feeds.devices is None else EdgeDevices(feeds.devices, lambda: self.hub.epoch, self.send)
        self._epoch = ""
        self._followed: dict[tuple[Subject, UUID], RelayWatch] = {}
        self._open = True

    async def open(self) -> None:
        """Sends the first messages."""
        self._epoch = self.hub.epoch
        self.send(RelayHello(PROTOCOL, self._epoch, self._devices is not None))
        known = () if self._revocations is None else self._revocations.in_force()
        for message in _in_parts(known):
            self.send(message)

    def close(self) -> None:
        """Ends every watch."""
        self._open = False
        followed, self._followed = self._followed, {}
        for each in followed.values():
            each.close()
        if self._devices is not None:
            self._devices.close()

    def send(self, message: RelayMessage) -> None:
        """Sends a message, after the epoch if that has changed."""
        if not self._open:
            return
        epoch = self.hub.epoch
        if epoch != self._epoch:
            self._epoch = epoch
            self.subscriber.deliver(relay_update(EpochChanged(epoch)))
        if self._open:  # sending the epoch may have closed it.
            self.subscriber.deliver(relay_update(message))

    def receive(self, payload: bytes) -> None:
        """Handles a frame of requests."""
        try:
            requests = read_requests(payload)
        except MALFORMED:
            _log.warn("an edge sent requests that are not those of protocol {protocol}", protocol=PROTOCOL)
            self.subscriber.ended(CloseCode.POLICY_VIOLATION)
            return
        for request in requests:
            self._handle(request)

    def _handle(self, request: Request) -> None:
        match request:
            case Follow(subject=subject, key=key, expected=expected):
                self._unfollow(subject, key)
                self._follow(subject, key, self._forecaster if expected else None)
            case Unfollow(subject=subject, key=key):
                self._unfollow(subject, key)
            case ReadClock(asked=asked):
                self.send(ClockShown(asked, self.clock.seconds(), self._stalled()))
            case Find():
                self._answer(request, self._find(request))
            case CatchUp():
                self._answer(request, self._catch_up(request))
            case Recall():
                self._answer(request, self._recall(request))
            case DeviceConnected() | DeviceDisconnected() | DeviceReported():
                self._handle_device(request)

    def _handle_device(self, request: DeviceConnected | DeviceDisconnected | DeviceReported) -> None:
        """Handles a request about devices, which edges send only where the first message says that there are any."""
        if self._devices is None:
            return
        match request:
            case DeviceConnected():
                self._devices.connect(request)
            case DeviceDisconnected(connection=number):
                self._devices.disconnect(number)
            case DeviceReported():
                self._devices.report(request)

    def _follow(self, subject: Subject, key: UUID, forecaster: Forecaster | None) -> None:
        if len(self._followed) >= MAX_FOLLOWED:
            full = TooManyRequests(f"An edge watches at most {MAX_FOLLOWED} things.", retry_after=1, limit=MAX_FOLLOWED)
            self._follow_failed(Failure(full), subject, key)
            return
        followed = self._followed[subject, key] = KINDS[subject](self, key, forecaster)
        Deferred.fromCoroutine(followed.open()).addErrback(self._follow_failed, subject, key, followed)

    def _follow_failed(self, failure: Failure, subject: Subject, key: UUID, followed: RelayWatch | None = None) -> None:
        if followed is not None and self._followed.get((subject, key)) is not followed:
            return
        self._unfollow(subject, key)
        refusal = _refusal(failure)
        self.send(FollowRefused(subject, key, refusal.status, refusal.message))

    def _unfollow(self, subject: Subject, key: UUID) -> None:
        followed = self._followed.pop((subject, key), None)
        if followed is not None:
            followed.close()

    def _answer(self, request: Find | CatchUp | Recall, answer: Coroutine[Any, Any, RelayAnswer]) -> None:
        Deferred.fromCoroutine(answer).addCallbacks(self.send, self._refuse, errbackArgs=(request.id,))

    def _refuse(self, failure: Failure, number: int) -> None:
        refusal = _refusal(failure)
        self.send(Refused(number, refusal.status, refusal.message))

    async def _find(self, request: Find) -> RelayAnswer:
        return RelayAnswer(request.id, bare(await self.sources.queues.find(request.session_id)))

    async def _catch_up(self, request: CatchUp) -> RelayAnswer:
        self.sources.check_hearing()
        session = request.subject is Subject.SESSION
        await self.sources.caught_up(request.key if session else None, None if session else request.key)
        if (followed := self._followed.get((request.subject, request.key))) is not None:
            followed.send_withheld()
        return RelayAnswer(request.id)

    async def _recall(self, request: Recall) -> RelayAnswer:
        key, version = request.key, request.version
        if request.subject is Subject.SESSION:
            materials = await self.sources.recall_materials(key, version) or self.hub.recent_materials(key, version)
            return RelayAnswer(request.id, materials=tuple(map(bare, materials)))
        queue = await self.sources.recall_queue(key, version) or self.hub.recent_queue(key, version)
        return RelayAnswer(request.id, queue=tuple(map(bare, queue)))

    def _stalled(self) -> str:
        try:
            self.sources.check_hearing()
        except Unavailable as error:
            return error.message
        return ""


def _in_parts(revocations: Sequence[Revocation]) -> Iterator[Revoked]:
    """All revocations in messages of bounded length; the last message is marked as complete."""
    for start in range(0, max(1, len(revocations)), REVOCATIONS_IN_MESSAGE):
        end = start + REVOCATIONS_IN_MESSAGE
        yield Revoked(tuple(revocations[start:end]), complete=end >= len(revocations))


def _refusal(failure: Failure) -> Refusal:
    """The refusal that an edge gets; anything unexpected is logged."""
    if isinstance(failure.value, Refusal):
        return failure.value
    _log.failure("a request of an edge failed", failure)
    return Unavailable("The core failed to answer.")
