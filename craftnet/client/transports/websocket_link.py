"""One WebSocket connection of a client, whatever its feed: the handshake, the token and its renewal, and the ending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure

from craftnet import __version__
from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import RENEWAL_RETRY, Credentials
from craftnet.client.core.endings import Ending
from craftnet.clocks import IClock
from craftnet.contract.messages import to_json
from craftnet.protocols.websocket.core.compression import BadCompressedMessage, decompress_message
from craftnet.protocols.websocket.core.dictionaries import UnknownDictionary
from craftnet.protocols.websocket.core.subprotocols import LZ4
from craftnet.protocols.websocket.core.token_renewal import TokenOffer, TokenRefused, read_answer

MAX_MESSAGE = 65_536
"""Bytes of the longest accepted message."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for the server to answer the handshake."""

CLOSE_TIMEOUT = 2.0
"""Seconds for the server to answer a close frame and disconnect."""

SILENCE_TIMEOUT = 90.0
"""Seconds without an octet after which the connection counts as dead; the server pings every 30 s."""


class LinkSettings(Struct, frozen=True):
    """What a link needs of its feed.

    Attributes:
        url: of the feed.
        offered: the subprotocols that it offers.
        max_message: bytes of the longest accepted message.
        silence_timeout: seconds without an octet after which the connection counts as dead.
    """

    url: str
    offered: Sequence[str]
    max_message: int = MAX_MESSAGE
    silence_timeout: float = SILENCE_TIMEOUT


def websocket_endpoint(reactor: IClock, address: Address) -> IStreamClientEndpoint:
    """Connects to a service, over TLS where its URL says so; verifies its certificate."""
    endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, address.host, address.port)
    if address.secure:
        endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
    return endpoint


class ClientWebSocket(WebSocketClientProtocol):
    """One connection of a client: bounds the server's silence, and finds out once how the connection ended.

    Arguments:
        silence_timeout: seconds without an octet after which an open connection counts as dead.
    """

    def __init__(self, clock: IClock, silence_timeout: float) -> None:
        super().__init__()
        self._clock = clock
        self._silence_timeout = silence_timeout
        self._ending: Ending | None = None
        self._silence: IDelayedCall | None = None

    def finished(self, ending: Ending) -> None:
        """Called once, when the connection is closed."""
        raise NotImplementedError

    def connectionMade(self) -> None:
        """The TCP or TLS connection is open."""
        self._silence = self._clock.callLater(HANDSHAKE_TIMEOUT, self.fail, endings.SILENT)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Octets arrived: the server is alive."""
        if self.is_open.called:
            self.allow(self._silence_timeout)
        super().dataReceived(data)

    def failHandshake(self, reason: str) -> None:
        """Autobahn rejected the answer. Called again with more octets until the answer is complete."""
        self._ending = endings.handshake_refused(self.data, complete=False)
        if self._ending is not None:
            super().failHandshake(reason)

    def onOpen(self) -> None:
        """The handshake is complete."""
        self.allow(self._silence_timeout)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is closed."""
        if self._silence is not None and self._silence.active():
            self._silence.cancel()
        if self._ending is None and not self.is_open.called:
            self._ending = endings.handshake_refused(self.data, complete=True) if self.data else None
        # Not the arguments: they hide a received close frame when the server did not close the TCP connection.
        self.finished(self._ending or endings.websocket_closed(self.remoteCloseCode, self.remoteCloseReason))

    def allow(self, seconds: float) -> None:
        """Allows the server `seconds` of silence from now on; after a close frame the limit stays."""
        if self._silence is not None and self._silence.active() and self.state != self.STATE_CLOSING:
            self._silence.reset(seconds)

    def fail(self, reason: str) -> None:
        """Drops the connection for this reason."""
        self._ending = endings.connection_lost(reason)
        self.dropConnection(abort=True)


class ClientWebSocketFactory(WebSocketClientFactory):
    """Builds one connection.

    Arguments:
        token: the bearer token.
        connection: the connection.
    """

    noisy = False

    def __init__(self, settings: LinkSettings, token: str, connection: ClientWebSocket) -> None:
        super().__init__(
            settings.url,
            protocols=list(settings.offered),
            useragent=f"craftnet/{__version__}",
            headers={"Authorization": f"Bearer {token}"},
        )
        if ":" in self.host:
            self.host = f"[{self.host}]"  # Autobahn writes it unchanged into the Host header.
        self.setProtocolOptions(
            maxFramePayloadSize=settings.max_message,
            maxMessagePayloadSize=settings.max_message,
            # One timer for silence instead of Autobahn's three.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
        )
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Returns the connection."""
        self._connection.factory = self
        return cast(Protocol, self._connection)


class _FeedConnection(ClientWebSocket):
    """The connection of a link."""

    def __init__(self, link: WebSocketLink) -> None:
        super().__init__(link.reactor, link.settings.silence_timeout)
        self._watch = link

    def finished(self, ending: Ending) -> None:
        """As in `ClientWebSocket`."""
        self._watch.closed(ending)

    def dataReceived(self, data: bytes) -> None:
        """Counts the octets."""
        self._watch.received_octets += len(data)
        super().dataReceived(data)

    def onOpen(self) -> None:
        """Notifies the link."""
        super().onOpen()
        self._watch.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Handles one message of the feed, or an invalid one."""
        try:
            message: bytes | None = self._decompressed(payload, isBinary)
        except UnknownDictionary as error:
            self._watch.cannot_decompress()
            self.fail(f"the server compresses messages in a way that this client does not support: {error}")
            return
        except BadCompressedMessage:
            message = None
        if message is not None and self._watch.heard(message):
            return
        if not isBinary and (answer := read_answer(payload)) is not None:
            if isinstance(answer, TokenRefused):
                self._watch.renew_later(RENEWAL_RETRY)
        else:
            self.fail("the server sent an invalid message")

    def _decompressed(self, payload: bytes, binary: bool) -> bytes:
        """The JSON of a message."""
        if not binary:
            return payload
        if self.websocket_protocol_in_use != LZ4:
            raise BadCompressedMessage("No binary message was negotiated.")
        return decompress_message(payload)

    def leave(self) -> None:
        """Closes the connection, with a close frame if it is open."""
        if self.is_open.called:
            self.allow(CLOSE_TIMEOUT)
            self.sendClose(1000)
        else:
            self.dropConnection(abort=True)


class WebSocketLink(ABC):
    """One attempt to follow a feed; used once. The feed's own part inherits from it.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        endpoint: as `websocket_endpoint` returns it.

    Attributes:
        received_octets: what arrived so far, the handshake included.
    """

    def __init__(
        self, reactor: IClock, endpoint: IStreamClientEndpoint, settings: LinkSettings, credentials: Credentials
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.received_octets = 0
        self._endpoint = endpoint
        self._credentials = credentials
        self._shown = ""
        self._following = False
        self._connecting: Deferred[None] | None = None
        self._connection: _FeedConnection | None = None
        self._renewal: IDelayedCall | None = None
        self._renewing: Deferred[None] | None = None

    @abstractmethod
    def link_opened(self) -> None:
        """The connection is open."""

    @abstractmethod
    def link_heard(self, message: bytes) -> bool:
        """A message arrived, as JSON; returns False for one that is not of the feed."""

    @abstractmethod
    def link_ended(self, ending: Ending) -> None:
        """The connection ended, or could not be opened. Not called after `stop`."""

    def cannot_decompress(self) -> None:  # noqa: B027 - a feed that offers no compression has nothing to do.
        """A dictionary is missing: the next link should offer no compression."""

    def connect(self) -> None:
        """Connects."""
        self._following = True
        self._connecting = connecting = Deferred.fromCoroutine(self._connect())
        connecting.addErrback(self._unreachable)

    def stop(self) -> None:
        """Disconnects. Harmless when the link has ended."""
        self._following = False
        self._renew_no_more()
        if self._connection is not None:
            self._connection.leave()
        elif self._connecting is not None:
            self._connecting.cancel()

    def send(self, message: bytes) -> None:
        """Sends a text message, if the connection is open."""
        if self._connection is not None:
            self._connection.sendMessage(message)

    def opened(self) -> None:
        """The handshake is complete."""
        if self._following:
            now = self.reactor.wall()
            due = self._credentials.due(now)
            if due is not None:
                self.renew_later(max(1.0, due - now))
            self.link_opened()

    def heard(self, message: bytes) -> bool:
        """As `link_heard`; nothing is wrong with what arrives after `stop`."""
        return not self._following or self.link_heard(message)

    def closed(self, ending: Ending) -> None:
        """The connection ended."""
        following, self._following = self._following, False
        self._connection = None
        self._renew_no_more()
        if following:
            self.link_ended(self._credentials.after(ending))

    async def _connect(self) -> None:
        try:
            self._shown = await self._credentials.current(self.reactor.wall())
        except Exception as error:  # the caller's token source may raise anything.
            self.closed(endings.without_token(error))
            return
        factory = ClientWebSocketFactory(self.settings, self._shown, _FeedConnection(self))
        connection: IProtocol = await self._endpoint.connect(factory)
        self._connection = cast(_FeedConnection, connection)

    def _unreachable(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.closed(endings.connection_lost(f"cannot connect: {failure.getErrorMessage().rstrip('.')}"))

    def renew_later(self, delay: float) -> None:
        """Sends a fresh token on the open connection in `delay` seconds."""
        if self._following and (self._renewal is None or not self._renewal.active()):
            self._renewal = self.reactor.callLater(delay, self._renew)

    def _renew(self) -> None:
        self._renewing = Deferred.fromCoroutine(self._offer())
        self._renewing.addErrback(lambda _: self.renew_later(RENEWAL_RETRY))

    async def _offer(self) -> None:
        token, now = await self._credentials.renewed(), self.reactor.wall()
        if token == self._shown:
            self.renew_later(RENEWAL_RETRY)
        elif self._connection is not None:
            self._shown = token
            self._connection.sendMessage(to_json(TokenOffer(token)))
            due = self._credentials.due(now)
            if due is not None:
                self.renew_later(max(1.0, due - now))

    def _renew_no_more(self) -> None:
        if self._renewal is not None and self._renewal.active():
            self._renewal.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
