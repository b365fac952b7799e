"""Watches a session over WebSocket: an Autobahn shell. The meaning of messages and endings is decided elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet import __version__
from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import RENEWAL_RETRY, Credentials, credentials
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import update_from_message
from craftnet.client.core.interfaces import ILink, ILinkListener, ITransport
from craftnet.clocks import IClock
from craftnet.contract.messages import MALFORMED, JsonDecoder, WebSocketCraftingMessage, to_json
from craftnet.contract.position import Position
from craftnet.protocols.websocket.core.compression import BadCompressedMessage, UnknownDictionary, decompress_message
from craftnet.protocols.websocket.core.subprotocols import JSON, LZ4
from craftnet.protocols.websocket.core.token_renewal import TokenOffer, TokenRefused, read_answer

OFFERED = (LZ4, JSON)
"""Compression is worthwhile: less than half the octets for a few microseconds."""

MAX_MESSAGE = 65_536
"""Bytes of the longest accepted message."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for the server to answer the handshake."""

CLOSE_TIMEOUT = 2.0
"""Seconds for the server to answer a close frame and disconnect."""

SILENCE_TIMEOUT = 90.0
"""Seconds without an octet after which the connection counts as dead; the server pings every 30 s."""

_decoder = JsonDecoder(WebSocketCraftingMessage)


class _ClientProtocol(WebSocketClientProtocol):
    """One connection. Reports to the link, once, how it ended."""

    def __init__(self, link: _WebSocketLink) -> None:
        super().__init__()
        self._watch = link
        self._ending: Ending | None = None
        self._silence: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The TCP or TLS connection is open."""
        self._silence = self._watch.reactor.callLater(HANDSHAKE_TIMEOUT, self._fail, endings.SILENT)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Octets arrived: the server is alive."""
        if self.is_open.called:
            self._allow(SILENCE_TIMEOUT)
        super().dataReceived(data)

    def failHandshake(self, reason: str) -> None:
        """Autobahn rejected the answer. Called again with more octets until the answer is complete."""
        self._ending = endings.handshake_refused(self.data, complete=False)
        if self._ending is not None:
            super().failHandshake(reason)

    def onOpen(self) -> None:
        """The handshake is complete."""
        self._allow(SILENCE_TIMEOUT)
        self._watch.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Handles one message of the feed, or an invalid one."""
        try:
            message = _decoder.decode(self._decompressed(payload, isBinary))
        except UnknownDictionary as error:
            self._watch.cannot_decompress()
            self._fail(f"the server compresses messages in a way that this client does not support: {error}")
            return
        except (*MALFORMED, BadCompressedMessage):
            message = None
        if message is None and not isBinary and (answer := read_answer(payload)) is not None:
            if isinstance(answer, TokenRefused):
                self._watch.renew_later(RENEWAL_RETRY)
        elif message is None or message.session_id != self._watch.session_id:
            self._fail("the server sent an invalid message")
        else:
            self._watch.updated(message)

    def _decompressed(self, payload: bytes, binary: bool) -> bytes:
        """The JSON of a message."""
        if not binary:
            return payload
        if self.websocket_protocol_in_use != LZ4:
            raise BadCompressedMessage("No binary message was negotiated.")
        return decompress_message(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is closed."""
        if self._silence is not None and self._silence.active():
            self._silence.cancel()
        if self._ending is None and not self.is_open.called:
            self._ending = endings.handshake_refused(self.data, complete=True) if self.data else None
        # Not the arguments: they hide a received close frame when the server did not close the TCP connection.
        self._watch.closed(self._ending or endings.websocket_closed(self.remoteCloseCode, self.remoteCloseReason))

    def leave(self) -> None:
        """Closes the connection, with a close frame if it is open."""
        if self.is_open.called:
            self._allow(CLOSE_TIMEOUT)
            self.sendClose(1000)
        else:
            self.dropConnection(abort=True)

    def _allow(self, seconds: float) -> None:
        """Allows the server `seconds` of silence from now on; after a close frame the limit stays."""
        if self._silence is not None and self._silence.active() and self.state != self.STATE_CLOSING:
            self._silence.reset(seconds)

    def _fail(self, reason: str) -> None:
        self._ending = endings.connection_lost(reason)
        self.dropConnection(abort=True)


class _ClientFactory(WebSocketClientFactory):
    """Makes the one connection of a link."""

    def __init__(self, link: _WebSocketLink, url: str, token: str, offered: Sequence[str]) -> None:
        super().__init__(
            url,
            protocols=list(offered),
            useragent=f"craftnet/{__version__}",
            headers={"Authorization": f"Bearer {token}"},
        )
        if ":" in self.host:
            self.host = f"[{self.host}]"  # Autobahn writes it unchanged into the Host header.
        self.setProtocolOptions(
            maxFramePayloadSize=MAX_MESSAGE,
            maxMessagePayloadSize=MAX_MESSAGE,
            # One timer for silence instead of Autobahn's three.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
        )
        self._watch = link

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Returns the connection."""
        connection = _ClientProtocol(self._watch)
        connection.factory = self
        return cast(Protocol, connection)


@implementer(ILink)
class _WebSocketLink:
    """See `ILink`."""

    def __init__(self, transport: WebSocketTransport, resume: Position | None) -> None:
        self._url = transport.url(resume)
        self.reactor = transport.reactor
        self.session_id = transport.session_id
        self._transport = transport
        self._credentials = transport.credentials
        self._shown = ""
        self._listener: ILinkListener | None = None
        self._connecting: Deferred[None] | None = None
        self._connection: _ClientProtocol | None = None
        self._renewal: IDelayedCall | None = None
        self._renewing: Deferred[None] | None = None

    def start(self, listener: ILinkListener) -> None:
        """See `ILink`."""
        self._listener = listener
        self._connecting = connecting = Deferred.fromCoroutine(self._connect())
        connecting.addErrback(self._unreachable)

    def stop(self) -> None:
        """See `ILink`."""
        self._listener = None
        self._renew_no_more()
        if self._connection is not None:
            self._connection.leave()
        elif self._connecting is not None:
            self._connecting.cancel()

    def opened(self) -> None:
        """The handshake is complete."""
        if self._listener is not None:
            now = self.reactor.wall()
            due = self._credentials.due(now)
            if due is not None:
                self.renew_later(max(1.0, due - now))
            self._listener.opened()

    def updated(self, message: WebSocketCraftingMessage) -> None:
        """A message arrived."""
        if self._listener is not None:
            self._listener.updated(update_from_message(message))

    def cannot_decompress(self) -> None:
        """A dictionary is missing."""
        self._transport.offered = (JSON,)

    def closed(self, ending: Ending) -> None:
        """The connection ended."""
        listener, self._listener = self._listener, None
        self._connection = None
        self._renew_no_more()
        if listener is not None:
            listener.ended(self._credentials.after(ending))

    async def _connect(self) -> None:
        try:
            self._shown = await self._credentials.current(self.reactor.wall())
        except Exception as error:  # the caller's token source may raise anything.
            self.closed(endings.without_token(error))
            return
        factory = _ClientFactory(self, self._url, self._shown, self._transport.offered)
        connection: IProtocol = await self._transport.endpoint.connect(factory)
        self._connection = cast(_ClientProtocol, connection)

    def _unreachable(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.closed(endings.connection_lost(f"cannot connect: {failure.getErrorMessage().rstrip('.')}"))

    def renew_later(self, delay: float) -> None:
        """Sends a fresh token on the open connection in `delay` seconds."""
        if self._listener is not None and (self._renewal is None or not self._renewal.active()):
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


@implementer(ITransport)
class WebSocketTransport:
    """Watches one session over WebSocket.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        address: the service.
        session_id, player_id: the session and its owner.
        token: the bearer token, or a source of fresh ones. Sent in a header or a message, never in the URL.

    Attributes:
        offered: the subprotocols that the next link offers.
    """

    name = "ws"

    def __init__(
        self, reactor: IClock, address: Address, session_id: UUID, player_id: UUID, token: str | Credentials
    ) -> None:
        self.reactor = reactor
        self.session_id = session_id
        self.credentials = credentials(token)
        self.offered: Sequence[str] = OFFERED
        self._address = address
        self._player_id = player_id
        endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, address.host, address.port)
        if address.secure:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
        self.endpoint = endpoint

    def url(self, resume: Position | None) -> str:
        """The feed's URL, continuing from that position."""
        return self._address.feed(self.session_id, self._player_id, resume)

    def link(self, resume: Position | None = None) -> ILink:
        """See `ITransport`."""
        return _WebSocketLink(self, resume)
