"""An edge's connection to its core, reopened after each loss. Contains no rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace
from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.access.revocation.revocations import Revocation
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials
from craftnet.client.core.endings import Ending
from craftnet.client.transports.websocket_link import LinkSettings, WebSocketLink, websocket_endpoint
from craftnet.clocks import IClock
from craftnet.contract.messages import MALFORMED, Check, HealthStatus
from craftnet.errors import Unavailable
from craftnet.interfaces import IRevocationListener, ISharedRevocations
from craftnet.protocols.websocket.core.subprotocols import JSON, LZ4
from craftnet.providers.registry import UpstreamMetrics
from craftnet.providers.upstream.devices import UpstreamDevices
from craftnet.providers.upstream.mirror_table import CONNECTING, MirrorTable
from craftnet.relay.messages import (
    MAX_REQUESTS,
    PROTOCOL,
    ClockShown,
    RelayedDevices,
    RelayHello,
    RelayMessage,
    Request,
    Revoked,
    read_message,
)
from craftnet.runtime.backoff import Backoff
from craftnet.runtime.deferreds import Waiters

CLOCK_INTERVAL = 5.0
"""Seconds between queries of the core's clock, which also show that the connection works."""

SILENCE_TIMEOUT = 15.0
"""Seconds without a byte from the core after which the connection counts as lost."""

MAX_MESSAGE = 4 * 1024 * 1024
"""Maximum length of a message in bytes: a session with hundreds of materials, or many recalled changes."""

MAX_BACKOFF = 10.0
"""Maximum delay in seconds before an attempt to connect."""

LOAD_TIMEOUT = 5.0
"""Seconds that the check of a token waits for the core's revocations."""


@implementer(ISharedRevocations)
class UpstreamRevocations:
    """The core's revocations.

    Arguments:
        core: the URL of the core, for error texts.
    """

    def __init__(self, clock: IClock, core: str) -> None:
        self._clock = clock
        self._core = core
        self._listener: IRevocationListener | None = None
        self._known = False
        self._waiters: Waiters[None] = Waiters()
        self.complete = False

    def follow(self, listener: IRevocationListener) -> None:
        """As in `ISharedRevocations`."""
        self._listener = listener

    def loaded(self) -> Deferred[None]:
        """As in `ISharedRevocations`."""
        if self._known:
            return succeed(None)
        problem = Unavailable(f"The revocations of the core {self._core} are not known yet.")
        return self._waiters.wait().addTimeout(LOAD_TIMEOUT, self._clock).addErrback(lambda _: fail(problem))

    def publish(self, revocation: Revocation) -> Deferred[None]:
        """Fails: an edge only receives revocations."""
        where = f"{self._core}/revocations"
        return fail(Unavailable(f"this server is an edge; post the revocation to {where}, which informs all edges."))

    def take(self, message: Revoked) -> None:
        """Takes revocations in force from the core."""
        if self._listener is not None:
            self._listener.revoked(message.revocations)
        if message.complete:
            self.complete = self._known = True
            self._waiters.release(None)

    def disconnected(self) -> None:
        """The connection is lost; revocations may be missed from now on."""
        self.complete = False


class _Follower(Protocol):
    """Takes the events of a link."""

    def opened(self) -> None:
        """The connection is open."""

    def heard(self, octets: bytes) -> bool:
        """A message arrived; returns False if the core should not have sent it."""

    def ended(self, ending: Ending) -> None:
        """The connection ended, or could not be opened."""

    def cannot_decompress(self) -> None:
        """The core compresses with a dictionary that this server does not have."""


class _RelayLink(WebSocketLink):
    """One connection to the core."""

    follower: _Follower

    def link_opened(self) -> None:
        self.follower.opened()

    def link_heard(self, message: bytes) -> bool:
        return self.follower.heard(message)

    def link_ended(self, ending: Ending) -> None:
        self.follower.ended(ending)

    def cannot_decompress(self) -> None:
        self.follower.cannot_decompress()


class UpstreamConnection(MultiService):
    """Follows the core while the service runs, over one connection at a time.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        core: the URL of the core, for error texts.
        make_mirrors: builds `mirrors`; its argument is called when there are requests to send.
        backoff: the delays between attempts; None: the default delays.

    Attributes:
        mirrors: provides requests, and takes messages.
        devices: the devices that are connected to this edge; None without --devices.
        endpoint: connects to the core.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        credentials: Credentials,
        core: str,
        make_mirrors: Callable[[Callable[[], None]], MirrorTable],
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._credentials = credentials
        self._core = core
        self.endpoint = websocket_endpoint(reactor, address)
        self._settings = LinkSettings(address.relay(), (LZ4, JSON), MAX_MESSAGE, SILENCE_TIMEOUT)
        self._backoff = backoff or Backoff(cap=MAX_BACKOFF)
        self._link: _RelayLink | None = None
        self._retry: IDelayedCall | None = None
        self._flush: IDelayedCall | None = None
        self._clock_due = 0.0
        self._counted_octets = 0
        self._asked_at: float | None = None
        self._reported = False
        self._connected_before = False
        self.mirrors = make_mirrors(self._wake)
        self.revocations = UpstreamRevocations(reactor, core)
        self.devices: UpstreamDevices | None = None
        self.metrics: UpstreamMetrics | None = None
        turns = TimerService(1.0, self._turn)
        turns.clock = reactor
        turns.setServiceParent(self)

    @property
    def lag(self) -> float:
        """Seconds for which the core has not answered the latest query of its clock; otherwise 0."""
        return 0.0 if self._asked_at is None else self._reactor.seconds() - self._asked_at

    def check(self) -> Check:
        """As in `IHealthChecks`: whether the core is followed."""
        problem = self.mirrors.problem
        if not problem:
            return Check(status=HealthStatus.OK)
        text = f"{problem} Open feeds stay open and wait; no new watchers are accepted."
        return Check(status=HealthStatus.DEGRADED, message=text)

    def startService(self) -> None:
        """Connects."""
        super().startService()
        self._connect()

    def stopService(self) -> Deferred[None]:
        """Disconnects."""
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        for call in (self._retry, self._flush):
            if call is not None and call.active():
                call.cancel()
        self.mirrors.disconnected(CONNECTING)
        stopped: Deferred[None] = super().stopService()
        return stopped

    def opened(self) -> None:
        """The connection is open; the core's first message follows."""
        self._backoff.opened(self._reactor.seconds())

    def heard(self, octets: bytes) -> bool:
        """Handles a message of the core; returns False if the core should not have sent it."""
        try:
            message: RelayMessage = read_message.decode(octets)
        except MALFORMED:
            return False
        match message:
            case RelayHello(protocol=protocol):
                if protocol != PROTOCOL:
                    self._leave(f"it speaks version {protocol} of the relay protocol, and this server {PROTOCOL}")
                    return True
                self._greeted(message)
            case RelayedDevices():
                if self.devices is not None:
                    self.devices.receive(message)
            case Revoked():
                self.revocations.take(message)
            case ClockShown(asked=asked):
                self._asked_at = None
                if self.metrics is not None:
                    self.metrics.answered(self._reactor.seconds() - asked)
                self.mirrors.receive(message)
            case _:
                self.mirrors.receive(message)
        return True

    def ended(self, ending: Ending) -> None:
        """The connection ended, or could not be opened: schedules another attempt."""
        self._count()
        self._link = None
        self._lost(ending.reason, ending.retry_after)

    def cannot_decompress(self) -> None:
        """The core compresses with a dictionary of its own: requests plain JSON from now on."""
        self._settings = replace(self._settings, offered=(JSON,))

    def _connect(self) -> None:
        self._retry = None
        self._counted_octets = 0
        self._link = link = _RelayLink(self._reactor, self.endpoint, self._settings, self._credentials)
        link.follower = self
        link.connect()

    def _greeted(self, hello: RelayHello) -> None:
        if self._reported or not self._connected_before:
            self._log.info("following the core {core}", core=self._core)
        if self._connected_before and self.metrics is not None:
            self.metrics.reconnected()
        self._reported, self._connected_before = False, True
        self._asked_at = self._reactor.seconds()
        self._clock_due = self._asked_at + CLOCK_INTERVAL
        self.mirrors.connected(hello.epoch)
        if self.devices is not None:
            self.devices.connected(offered=hello.devices)

    def _leave(self, reason: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        self._lost(reason, None)

    def _lost(self, reason: str, retry_after: float | None) -> None:
        if not self._reported:  # once per interruption.
            self._log.warn("cannot follow the core {core}: {reason}", core=self._core, reason=reason)
        self._reported = True
        self._asked_at = None
        problem = f"The core {self._core} cannot be followed: {reason}."
        self.mirrors.disconnected(problem)
        if self.devices is not None:
            self.devices.disconnected(problem)
        self.revocations.disconnected()
        delay = self._backoff.delay(self._reactor.seconds(), retry_after)
        self._retry = self._reactor.callLater(delay, self._connect)

    def _wake(self) -> None:
        """Sends the requests of this reactor turn in as few frames as possible."""
        if self._flush is None or not self._flush.active():
            self._flush = self._reactor.callLater(0, self._send)

    def _send(self) -> None:
        requests = self.mirrors.take_requests()
        for start in range(0, len(requests), MAX_REQUESTS):
            self._write(requests[start : start + MAX_REQUESTS])

    def _write(self, requests: Sequence[Request]) -> None:
        if self._link is None:
            return
        octets = msgspec.json.encode(requests)
        self._link.send(octets)
        if self.metrics is not None:
            self.metrics.sent(len(octets))

    def _turn(self) -> None:
        now = self._reactor.seconds()
        self.mirrors.turn()
        if not self.mirrors.problem and self._asked_at is None and self._clock_due <= now:
            self._asked_at, self._clock_due = now, now + CLOCK_INTERVAL
            self.mirrors.read_clock()
        self._count()
        if self.metrics is not None:
            self.metrics.following(not self.mirrors.problem, self.mirrors.counts)

    def _count(self) -> None:
        """Counts the bytes received since the last call."""
        if self._link is not None and self.metrics is not None:
            received, before = self._link.received_octets, self._counted_octets
            self._counted_octets = received
            self.metrics.received(received - before)
