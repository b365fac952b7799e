"""What an open WebSocket need not keep: Autobahn sets some ninety attributes on each, nearly always to the same values.

A connection lives for hours and there are tens of thousands of them. What has its usual value is read from the class,
and what was only needed for the handshake is dropped. (`configured` has put the options there.)
Nothing is lost but Autobahn's count of octets per connection.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import TrafficStats

_USUAL: dict[str, Any] = {
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
            *("_perMessageCompress", "trackedTimings", "current_frame", "wasNotCleanReason"),
            *("autoPingPending", "autoPingPendingCall", "autoPingPendingSent", "autoPingTimeoutCall"),
            *("openHandshakeTimeoutCall", "closeHandshakeTimeoutCall"),
            *("localCloseCode", "localCloseReason", "remoteCloseCode", "remoteCloseReason"),
        ),
        None,
    ),
    "autoPingPendingSeq": 0,
    "send_state": 0,
}

_OF_THE_HANDSHAKE = frozenset(
    {
        *("http_request_data", "http_response_data", "http_status_line", "http_headers"),
        *("http_request_uri", "http_request_path", "http_request_params", "http_request_host"),
        *("websocket_extensions", "websocket_protocols", "websocket_origin", "_wskey", "headers"),
    }
)
"""Among them the token."""

_OF_ALL: dict[str, Any] = {
    "trafficStats": TrafficStats(),
    "send_queue": (),  # octets are queued there in pieces, or one by one, which is never asked for.
    "_transport_details": None,
}
"""What a connection shares with all others from then on."""


class SlimProtocol(WebSocketServerProtocol):
    """A connection that keeps little."""

    _slimmed: ClassVar[frozenset[str]] = _OF_THE_HANDSHAKE | _OF_ALL.keys()

    def slim(self) -> None:
        """The handshake is over: forget what is not needed any more."""
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in self._slimmed and (name not in _USUAL or value != _USUAL[name])
        }


for _name, _value in (*_USUAL.items(), *_OF_ALL.items()):
    setattr(SlimProtocol, _name, _value)
