"""A TCP relay between a node and Redis that can stall either direction."""

from __future__ import annotations

from typing import Any, cast

from msgspec import Struct
from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

SENT = 1 << 20
"""Bytes kept of what a node has sent over one connection."""


class Stall(Struct, frozen=True):
    """What the relay stalls.

    Attributes:
        asking: whether requests of nodes are stalled.
        answering: whether answers of Redis are stalled.
        above: only from an answer longer than this on; shorter ones pass until then.
        sending: only on connections over which a node has sent these bytes, such as b"XREAD".
    """

    asking: bool = False
    answering: bool = True
    above: int = 0
    sending: bytes = b""


class _Held:
    """The stalled octets of one direction of a connection."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def stalled(self) -> bool:
        """Whether anything is: what follows must wait, too."""
        return bool(self.data)


class _NodeEnd(ProxyServer):
    """A connection of a node."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.asked, self.answered = _Held(), _Held()
        self.clientProtocolFactory = _RedisEndFactory

    def dataReceived(self, data: bytes) -> None:
        """From the node."""
        relay = cast(Relay, self.factory)
        self.sent += data
        del self.sent[:-SENT]
        if self.asked.stalled or relay.stalls(self.sent, len(data), asking=True):
            self.asked.data += data
        else:
            super().dataReceived(data)

    def from_redis(self, data: bytes) -> None:
        """From Redis."""
        relay = cast(Relay, self.factory)
        if self.answered.stalled or relay.stalls(self.sent, len(data), asking=False):
            self.answered.data += data
        elif self.transport is not None:
            self.transport.write(data)

    def release(self) -> None:
        """Sends the stalled octets."""
        asked, self.asked.data = self.asked.data, b""
        answered, self.answered.data = self.answered.data, b""
        if asked and self.peer is not None:
            cast(Any, self.peer.transport).write(asked)
        if answered and self.transport is not None:
            self.transport.write(answered)


class _RedisEnd(ProxyClient):
    """A connection to Redis."""

    def dataReceived(self, data: bytes) -> None:
        """From Redis."""
        cast(Any, self.peer).from_redis(data)


class _RedisEndFactory(ProxyClientFactory):
    protocol = _RedisEnd
    noisy = False


class Relay(ProxyFactory):
    """The relay.

    Arguments:
        port: of Redis, on this machine. May be changed: new connections go there.

    Attributes:
        accepted: how many connections there have been.
    """

    noisy = False
    protocol = _NodeEnd

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.accepted = 0
        self._stall: Stall | None = None
        self._connections: list[_NodeEnd] = []
        self._listening: IListeningPort | None = None

    def start(self) -> int:
        """Listen; the port."""
        self._listening = cast(Any, reactor).listenTCP(0, self, interface="127.0.0.1")
        return cast(int, cast(Any, self._listening).getHost().port)

    @property
    def sent(self) -> list[bytes]:
        """The newest `SENT` bytes that nodes have sent over each open connection."""
        return [bytes(connection.sent) for connection in self._connections if connection.connected]

    def said(self, words: bytes) -> int:
        """How often nodes have sent these bytes over the connections that are open."""
        return sum(sent.count(words) for sent in self.sent)

    async def stop(self) -> None:
        """Stops listening, and ends every connection."""
        self.cut()
        if self._listening is not None:
            await cast(Any, self._listening.stopListening())

    def buildProtocol(self, addr: Any) -> Any:
        """One more connection."""
        connection = cast(_NodeEnd, super().buildProtocol(addr))
        self.accepted += 1
        self._connections = [each for each in self._connections if each.connected] + [connection]
        return connection

    def hold(self, stall: Stall) -> None:
        """Stall connections, those to come, too."""
        self._stall = stall

    def release(self) -> None:
        """Sends the stalled octets, and all that follow."""
        self._stall = None
        for connection in self._connections:
            if connection.connected:
                connection.release()

    def cut(self) -> None:
        """End every connection."""
        for connection in self._connections:
            if connection.transport is not None:
                cast(Any, connection.transport).abortConnection()

    def stalls(self, sent: bytearray, size: int, *, asking: bool) -> bool:
        """Whether `size` bytes are held back on a connection over which a node has `sent` these."""
        stall = self._stall
        if stall is None or stall.sending not in sent:
            return False
        return stall.asking if asking else stall.answering and size > stall.above
