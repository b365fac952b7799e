"""Registers a device on the feed of its player's queues, and follows what the server says about devices."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall

from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.transports.websocket_link import LinkSettings, WebSocketLink, websocket_endpoint
from craftnet.clocks import IClock
from craftnet.contract.devices import DeviceMessage, read_device_message
from craftnet.contract.messages import MALFORMED, JsonDecoder, WebSocketQueueMessage
from craftnet.protocols.websocket.core.subprotocols import JSON
from craftnet.runtime.backoff import Backoff

REGISTRATION_TIMEOUT = 5.0
"""Seconds on an open connection after which a server that does not mention devices is taken for one without them."""

NO_DEVICES = "the server has no devices: it runs without --devices"

_queue_decoder = JsonDecoder(WebSocketQueueMessage)


class DeviceListener(Protocol):
    """Receives what a feed says."""

    def device_message(self, message: DeviceMessage) -> None:
        """A message about the player's devices."""

    def queue_message(self, message: WebSocketQueueMessage) -> None:
        """A message of the queue, which a device may see or dismiss."""

    def no_devices(self, reason: str) -> None:
        """Nothing more follows: the server refused the device, or has no devices."""


class _DeviceLink(WebSocketLink):
    """One connection."""

    def __init__(self, feed: DeviceFeed) -> None:
        settings = LinkSettings(feed.url, (JSON,))
        super().__init__(feed.reactor, feed.endpoint, settings, feed.credentials)
        self._feed = feed

    def link_opened(self) -> None:
        """The connection is open."""
        self._feed.opened()

    def link_heard(self, message: bytes) -> bool:
        """A message arrived."""
        return self._feed.heard(message)

    def link_ended(self, ending: Ending) -> None:
        """The connection ended."""
        self._feed.ended(ending)


class DeviceFeed:
    """Keeps a device registered until it is stopped; reconnects after a lost connection.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        address: the service.
        player_id: the player, whose own token is needed.
        name: the name of this device.
        listener: receives what the server says.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        player_id: UUID,
        name: str,
        token: Credentials,
        listener: DeviceListener,
        backoff: Backoff | None = None,
    ) -> None:
        self.reactor = reactor
        self.url = address.queue(player_id, name)
        self.endpoint = websocket_endpoint(reactor, address)
        self.credentials = token
        self._listener = listener
        self._backoff = backoff or Backoff()
        self._link: _DeviceLink | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Connects."""
        self._timer = None
        self._link = link = _DeviceLink(self)
        link.connect()

    def stop(self) -> None:
        """Disconnects. Harmless when nothing is open."""
        self._cancel()
        link, self._link = self._link, None
        if link is not None:
            link.stop()

    def opened(self) -> None:
        """The connection is open."""
        self._backoff.opened(self.reactor.seconds())
        self._timer = self.reactor.callLater(REGISTRATION_TIMEOUT, self._give_up, NO_DEVICES)

    def heard(self, message: bytes) -> bool:
        """A message arrived; returns whether it is one of this feed."""
        about = read_device_message(message)
        if about is not None:
            self._cancel()
            self._listener.device_message(about)
            return True
        try:
            self._listener.queue_message(_queue_decoder.decode(message))
        except MALFORMED:
            return False
        return True

    def ended(self, ending: Ending) -> None:
        """The connection ended, or could not be opened."""
        self._cancel()
        self._link = None
        if ending.kind is EndingKind.LOST:
            delay = self._backoff.delay(self.reactor.seconds(), ending.retry_after)
            self._timer = self.reactor.callLater(delay, self.start)
        else:
            self._listener.no_devices(ending.reason)

    def _give_up(self, reason: str) -> None:
        self._timer = None
        self.stop()
        self._listener.no_devices(reason)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
