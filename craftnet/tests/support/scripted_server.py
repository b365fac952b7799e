"""A server for the client's tests: on 127.0.0.1 it plays one scripted part for each request that comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTCP, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Connection
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from craftnet.protocols.websocket.core.subprotocols import JSON, LZ4
from craftnet.tests.support.eventually import until


class _Reactor(IReactorFDSet, IReactorTCP, IReactorTime):
    """The parts of the reactor that it needs."""


_reactor = cast(_Reactor, reactor)


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Play:
    """A WebSocket that says its lines and then closes with a code, or stays open without one."""

    messages: Sequence[bytes] = ()
    code: int | None = None
    binary: bool = False
    drop: bool = False
    subprotocol: str = JSON


class _Stage(WebSocketServerProtocol):
    play: Play

    def onConnect(self, request: object) -> str:
        self.play = cast(_ScriptFactory, self.factory).next_play
        return self.play.subprotocol

    def onOpen(self) -> None:
        for message in self.play.messages:
            self.sendMessage(message, isBinary=self.play.binary)
        if self.play.drop:
            self.dropConnection(abort=True)
        elif self.play.code is not None:
            self.sendCloseFrame(self.play.code)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        cast(_ScriptFactory, self.factory).close_codes.append(code)


class _ScriptFactory(WebSocketServerFactory):
    protocol = _Stage
    next_play: Play

    def __init__(self) -> None:
        super().__init__(protocols=[JSON, LZ4])
        # No timers that outlive a test.
        self.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        self.close_codes: list[int | None] = []


class ScriptedServer(Resource):
    """The server.

    Attributes:
        requests: the requests: method, path with query, headers.
        script: the answers, popped from the front; the last part is repeated.
    """

    isLeaf = True

    def __init__(self, *script: Answer | Play) -> None:
        super().__init__()
        self.script = list(script)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self._factory = _ScriptFactory()
        self._websockets = WebSocketResource(self._factory)
        site = cast("ServerFactory[Any]", Site(self))
        self._port = _reactor.listenTCP(0, site, interface="127.0.0.1")

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{cast(IPv4Address, self._port.getHost()).port}"

    @property
    def close_codes(self) -> list[int | None]:
        """How WebSockets were closed."""
        return self._factory.close_codes

    def render(self, request: Request) -> bytes | int:
        """Play the next part."""
        headers = {
            name.decode().lower(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.requests.append((request.method.decode(), request.uri.decode(), headers))
        self.bodies.append(b"" if request.content is None else request.content.read())
        part = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(part, Play):
            self._factory.next_play = part
            return cast(int, self._websockets.render(request))
        request.setResponseCode(part.status)
        for name, value in part.headers.items():
            request.setHeader(name, value)
        return part.body

    def stop(self) -> Deferred[None]:
        """Stops listening; fires when no connection is left at either end."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        await until(lambda: not any(isinstance(reader, Connection) for reader in _reactor.getReaders()))
