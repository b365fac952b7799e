"""Autobahn's server protocol, reduced to the work that this server leaves to it: frames, and the closing handshake.

A connection lives for hours, there are tens of thousands of them, and Autobahn sets some ninety attributes on each.
Here options and usual values are read from the class, and the attributes that change are slots: an idle connection has
an empty dictionary. Autobahn's own opening handshake is not used either: `craftnet.protocols.websocket.core.handshake`
reads
requests, and `accept` answers them.

This module is the only one that names internals of Autobahn.
`craftnet/tests/protocols/websocket/server/test_autobahn_base.py` fails when a version of
Autobahn has an attribute or a method that this module does not know.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from hashlib import sha1
from inspect import isfunction
from typing import Any, TypeVar

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The suffix that a server appends to the client's key (RFC 6455 section 4.2.2 item 5.4)."""

ATTRIBUTES: dict[str, Any] = {
    **dict.fromkeys(
        (
            *("closedByMe", "failedByMe", "droppedByMe", "inside_message", "triggered", "wasClean"),
            *("wasCloseHandshakeTimeout", "wasOpenHandshakeTimeout", "wasServerConnectionDropTimeout"),
            *("wasMaxFramePayloadSizeExceeded", "wasMaxMessagePayloadSizeExceeded", "wasServingFlashSocketPolicyFile"),
        ),
        False,
    ),
    **dict.fromkeys(
        (
            *("_perMessageCompress", "trackedTimings", "wasNotCleanReason", "_transport_details", "peer"),
            *("autoPingPending", "autoPingPendingCall", "autoPingPendingSent", "autoPingTimeoutCall"),
            *("openHandshakeTimeoutCall", "closeHandshakeTimeoutCall"),
            *("localCloseCode", "localCloseReason", "remoteCloseCode", "remoteCloseReason"),
        ),
        None,
    ),
    "autoPingPendingSeq": 0,
    "send_state": 0,
    "websocket_version": 13,
    "trafficStats": TrafficStats(),  # unused.
}
"""What Autobahn sets on a new connection, and what a connection finds in the class instead."""

AnyProtocol = TypeVar("AnyProtocol", bound="ServerProtocol")


class ServerProtocol(WebSocketServerProtocol):
    """The server's end of a WebSocket connection, with little state.

    Attributes:
        state: one of Autobahn's ``STATE_…``.
        data: octets received but not yet parsed.
        current_frame, current_frame_masker, control_frame_data: of the frame that is being read.
    """

    __slots__ = ("control_frame_data", "current_frame", "current_frame_masker", "data", "state", "transport")

    def __init__(self) -> None:
        # Replaces Autobahn's, which makes two Deferreds and a description of the transport.
        self.data = b""
        self.state = self.STATE_CONNECTING
        self.transport = None
        self.current_frame = self.current_frame_masker = None  # type: ignore[assignment]  # as Autobahn does it.
        self.control_frame_data = None  # type: ignore[assignment]  # as above.

    # Between Twisted and Autobahn

    def makeConnection(self, transport: Any) -> None:
        """Takes the transport. (Any: setTcpNoDelay is in no interface that TLS transports share.)"""
        self.transport = transport
        with suppress(AttributeError, OSError):  # a UNIX socket has no such option.
            transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Parses received octets. (Autobahn's own method formats each chunk for a debug log.)"""
        self.data += data
        self.consumeData()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is lost. (No timer of Autobahn's needs to be stopped.)"""
        self.state = self.STATE_CLOSED
        self.onClose(self.wasClean, self.remoteCloseCode, self.remoteCloseReason)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Writes `data`; the other arguments are never used."""
        assert self.transport is not None
        self.transport.write(data)

    def dropConnection(self, abort: bool = False) -> None:
        """Ends the TCP connection, unless it has ended."""
        self.unregisterProducer()
        if self.state != self.STATE_CLOSED:
            self.state = self.STATE_CLOSED
            self._closeConnection(abort)

    def abort(self) -> None:
        """End the TCP connection now, whatever is still to be sent."""
        self._closeConnection(abort=True)

    # Autobahn's reading of frames

    @property
    def utf8validator(self) -> Utf8Validator:  # type: ignore[override]  # Autobahn has an attribute.
        """The validator of a text message; created for the first one, since hardly any client sends one."""
        validator: Utf8Validator | None = self.__dict__.get("_utf8validator")
        if validator is None:
            validator = self.__dict__["_utf8validator"] = Utf8Validator()
        return validator

    def onFrameEnd(self) -> bool | None:
        """A frame was read: forgets its mask as well."""
        result = super().onFrameEnd()
        self.current_frame_masker = None
        return result

    # The opening handshake

    @staticmethod
    def acceptance(key: str, subprotocol: str | None) -> bytes:
        """The answer 101 to a handshake (RFC 6455 section 4.2.2). Once it is sent, the connection is open.

        Arguments:
            key: the request's Sec-WebSocket-Key.
            subprotocol: the selected one.
        """
        selected = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode()
        proof = b64encode(sha1(key.encode("ascii") + ACCEPT_GUID, usedforsecurity=False).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nServer: craftnet\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            b"%bSec-WebSocket-Accept: %b\r\n\r\n" % (selected, proof)
        )


for _name, _value in ATTRIBUTES.items():
    setattr(ServerProtocol, _name, _value)


def configured(protocol: type[AnyProtocol], factory: Any) -> type[AnyProtocol]:
    """A subclass of `protocol` with the factory and its present options.

    Autobahn copies some thirty options from the factory to every connection. A class that has them needs no copies.

    Arguments:
        factory: an Autobahn factory; its options have no common interface.
    """
    options = {name: _plain(getattr(factory, name)) for name in protocol.CONFIG_ATTRS}
    return type(protocol.__name__, (protocol,), {**options, "factory": factory, "__doc__": protocol.__doc__})


def _plain(option: Any) -> Any:
    """Keeps an option that is a function from becoming a method."""
    return staticmethod(option) if isfunction(option) else option
