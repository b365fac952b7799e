"""Watches a session over WebSocket: an Autobahn shell. Other modules interpret messages and endings."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from zope.interface import implementer

from craftnet.client.core.address import Address
from craftnet.client.core.credentials import Credentials, credentials
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import update_from_message
from craftnet.client.core.interfaces import ILink, ILinkListener, ITransport
from craftnet.client.transports.websocket_link import LinkSettings, WebSocketLink, websocket_endpoint
from craftnet.clocks import IClock
from craftnet.contract.messages import MALFORMED, JsonDecoder, WebSocketCraftingMessage
from craftnet.contract.position import Position
from craftnet.protocols.websocket.core.subprotocols import JSON, LZ4

OFFERED = (LZ4, JSON)
"""Compression is worthwhile: less than half the octets for a few microseconds."""

_decoder = JsonDecoder(WebSocketCraftingMessage)


@implementer(ILink)
class _FeedLink(WebSocketLink):
    """See `ILink`."""

    def __init__(self, transport: WebSocketTransport, resume: Position | None) -> None:
        settings = LinkSettings(transport.url(resume), transport.offered)
        super().__init__(transport.reactor, transport.endpoint, settings, transport.credentials)
        self._transport = transport
        self._listener: ILinkListener | None = None

    def start(self, listener: ILinkListener) -> None:
        """See `ILink`."""
        self._listener = listener
        self.connect()

    def link_opened(self) -> None:
        """The connection is open."""
        if self._listener is not None:
            self._listener.opened()

    def link_heard(self, message: bytes) -> bool:
        """A message arrived."""
        try:
            update = _decoder.decode(message)
        except MALFORMED:
            return False
        if update.session_id != self._transport.session_id:
            return False
        if self._listener is not None:
            self._listener.updated(update_from_message(update))
        return True

    def link_ended(self, ending: Ending) -> None:
        """The connection ended."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.ended(ending)

    def cannot_decompress(self) -> None:
        """A dictionary is missing."""
        self._transport.offered = (JSON,)


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
        self.endpoint = websocket_endpoint(reactor, address)

    def url(self, resume: Position | None) -> str:
        """The feed's URL, continuing from that position."""
        return self._address.feed(self.session_id, self._player_id, resume, expected=True)

    def link(self, resume: Position | None = None) -> ILink:
        """See `ITransport`."""
        return _FeedLink(self, resume)
