"""Tests for `craftnet.protocols.websocket.server.autobahn_base`, and of Autobahn: whether it still is what that
module reduces.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.protocol import WebSocketServerProtocol as GenericServerProtocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.websocket.server.autobahn_base import ATTRIBUTES, ServerProtocol, configured
from craftnet.tests.support.feed_wire import FeedServer
from craftnet.tests.support.samples import PLAYER

UNUSED = {
    *("send_queue", "is_closed", "is_open"),  # of `sendData`, `dropConnection` and the handshake, which are replaced.
    *("_valid_events", "_results"),  # of listeners, which there are none of.
}
"""What Autobahn sets on every connection but the remaining code never reads."""

OF_MESSAGES = {
    *("message_is_binary", "message_data", "message_data_total_length", "frame_length", "frame_data"),
    *("_isMessageCompressed", "utf8validateIncomingCurrentMessage", "utf8validateLast"),
}
"""What Autobahn keeps for a data message; clients send one when they renew their token."""

OF_CLIENTS = {"acceptMaskedServerFrames", "maskClientFrames", "serverConnectionDropTimeout"} | {
    "serverConnectionDropTimeoutCall"
}
"""What only a client's side has and reads."""

READ = (
    *("consumeData", "processData", "onFrameBegin", "onFrameData", "onFrameEnd", "processControlFrame"),
    *("onMessageBegin", "onMessageFrameBegin", "onMessageFrameData", "onMessageFrameEnd", "onMessageFrame"),
    *("onMessageEnd", "onCloseFrame", "onPing", "sendFrame", "sendPing", "sendPong", "sendCloseFrame", "sendMessage"),
    *("_fail_connection", "_protocol_violation", "_invalid_payload", "_max_message_size_exceeded"),
)
"""The methods of Autobahn that run here."""


def attributes(method: Callable[..., Any], kind: type[ast.expr_context]) -> Iterator[str]:
    """The attributes of `self` that a method reads (ast.Load) or sets (ast.Store)."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, kind)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr


class UpgradeTests(SynchronousTestCase):
    """Fails when a version of Autobahn differs in what this server relies on: check then whether the base class holds.

    Autobahn reads and sets attributes that are in none of its interfaces, so only its source shows which.
    """

    def set_by_autobahn(self) -> set[str]:
        """The attributes of a new connection of Autobahn's own."""
        factory = WebSocketServerFactory()
        factory.protocol = WebSocketServerProtocol
        protocol: Any = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        protocol.openHandshakeTimeoutCall.cancel()
        return set(vars(protocol))

    def test_attributes_set(self) -> None:
        """A new one would be missing on connections of this server."""
        known = {*ATTRIBUTES, *ServerProtocol.__slots__, *WebSocketServerProtocol.CONFIG_ATTRS, *UNUSED}
        self.assertEqual(self.set_by_autobahn() - known, {"factory", "connected", "utf8validator"})

    def test_attributes_kept(self) -> None:
        """An attribute that is gone is not needed here any more."""
        server_only = {"websocket_version", "inside_message", "current_frame", "current_frame_masker"}
        self.assertLessEqual(set(ATTRIBUTES) - self.set_by_autobahn(), server_only)

    def test_attributes_read(self) -> None:
        """Everything that the methods read is there before they run, but for the state of a message."""
        found: Any = configured(ServerProtocol, WebSocketServerFactory())()
        for name in READ:
            for read in attributes(getattr(WebSocketServerProtocol, name), ast.Load):
                if read not in OF_MESSAGES | OF_CLIENTS:
                    self.assertTrue(hasattr(found, read), (name, read))

    def test_attributes_written(self) -> None:
        """Nothing else is kept: all that the methods set has its place."""
        declared = {*ATTRIBUTES, *ServerProtocol.__slots__, *OF_MESSAGES, *OF_CLIENTS}
        for name in READ:
            written = set(attributes(getattr(WebSocketServerProtocol, name), ast.Store))
            self.assertLessEqual(written, declared, name)

    def test_replaced(self) -> None:
        """The methods that this server overrides still have the same names and arguments."""
        for name in ("dataReceived", "sendData", "dropConnection", "onFrameEnd", "connectionLost", "makeConnection"):
            theirs = inspect.signature(getattr(WebSocketServerProtocol, name))
            ours = inspect.signature(getattr(ServerProtocol, name))
            self.assertEqual(list(theirs.parameters), list(ours.parameters), name)

    def test_callers(self) -> None:
        """Only the methods that are replaced write to the transport or end it."""
        for name, method in inspect.getmembers(WebSocketProtocol, inspect.isfunction):
            if name in READ:
                self.assertNotIn("transport", set(attributes(method, ast.Load)), name)
        self.assertFalse({"processData", "sendFrame", "onCloseFrame"} & set(vars(GenericServerProtocol)))


class IdleTests(SynchronousTestCase):
    def test_idle_connection_keeps_little(self) -> None:
        """Slots, and an empty dictionary but for its handshake; also after a pong."""
        server = FeedServer()
        wire = server.opened(f"/ws/queue/{PLAYER}")
        wire.protocol.dataReceived(b"\x8a\x80\0\0\0\0")
        self.assertEqual(vars(wire.protocol), {"_admitting": None})
        kept = [
            name
            for kind in type(wire.protocol).__mro__
            for name in vars(kind).get("__slots__", ())
            if getattr(wire.protocol, name)
        ]
        self.assertLessEqual(len(kept), 8, kept)


class ConfiguredTests(SynchronousTestCase):
    def test_options_are_those_of_the_factory(self) -> None:
        """All that Autobahn would have copied, functions included; and none of them on the connection."""
        factory = WebSocketServerFactory()
        factory.setProtocolOptions(maxMessagePayloadSize=7, echoCloseCodeReason=True, openHandshakeTimeout=0)
        factory.protocol = WebSocketServerProtocol
        copied: Any = factory.buildProtocol(None)
        copied.makeConnection(StringTransport())
        lean: Any = configured(ServerProtocol, factory)()
        self.assertIs(lean.factory, factory)
        self.assertEqual(lean.maxMessagePayloadSize, 7)
        for name in WebSocketServerProtocol.CONFIG_ATTRS:
            self.assertEqual(getattr(lean, name), getattr(copied, name))
            self.assertNotIn(name, vars(lean))
