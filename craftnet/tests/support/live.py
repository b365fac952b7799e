"""A whole service on free ports of this machine, and clients for it that this project did not write."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID, uuid4

import jwt
import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from websockets.sync.client import ClientConnection, connect
from zope.interface import directlyProvides, providedBy

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.clocks import IClock, steady
from craftnet.contract.messages import rfc3339
from craftnet.server.build import build
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings
from craftnet.tests.support.samples import PLAYER, RECIPE, SESSION

SECRET = "a secret for tests, worthless elsewhere"

P = ParamSpec("P")
T = TypeVar("T")


def token(player_id: UUID | None = PLAYER, *scopes: str, ttl: float = 600.0) -> str:
    """A token that the service under test accepts; a negative `ttl` makes an expired one."""
    return sign_token(SECRET.encode(), player_id, scopes, ttl, reactor.seconds())


def envelope(event_type: str, data: dict[str, Any], **more: object) -> dict[str, Any]:
    """An authority event of this moment, as JSON-able values."""
    return {
        "event_id": str(uuid4()),
        "event_type": event_type,
        "timestamp": rfc3339(reactor.seconds()),
        "version": "1.0.0",
        "source": "tests",
        "data": data,
        **more,
    }


def started(session_id: UUID = SESSION, player_id: UUID = PLAYER, seconds: int = 60) -> dict[str, Any]:
    """A session's start."""
    data = {
        "session_id": str(session_id),
        "recipe_id": str(RECIPE),
        "player_id": str(player_id),
        "estimated_duration_seconds": seconds,
    }
    return envelope("crafting.session.start", data)


class AdvancedClock:
    """A real reactor whose two clocks, and timers made with it, a test may move forward.

    Arguments:
        reactor: does everything else.
    """

    def __init__(self, reactor: IClock) -> None:
        self._reactor: Any = reactor
        self._ahead = 0.0
        self._calls: list[IDelayedCall] = []
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def seconds(self) -> float:
        """See `IClock`."""
        now: float = self._reactor.seconds()
        return now + self._ahead

    def wall(self) -> float:
        """See `IClock`."""
        now: float = self._reactor.wall()
        return now + self._ahead

    def callLater(self, delay: float, function: Callable[..., object], *args: Any, **kwargs: Any) -> IDelayedCall:
        """See `IReactorTime`."""
        call: IDelayedCall = self._reactor.callLater(delay, function, *args, **kwargs)
        self._calls = [known for known in self._calls if known.active()] + [call]
        return call

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass at once: calls that become due run in the reactor's next turn."""
        self._ahead += seconds
        for call in self._calls:
            if call.active():
                call.reset(max(0.0, call.getTime() - self._reactor.seconds() - seconds))


class LiveTestCase(TestCase):
    """Starts a service before each test and stops it after.

    Attributes:
        clock: the service's clock, and its reactor.
        environ: variables of the service's environment beside the secret of its tokens.
    """

    timeout = 60
    environ: Mapping[str, str] = MappingProxyType({})
    settings = Settings(http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", health_interval=0.5, drain_time=0.0)

    def setUp(self) -> None:
        """Start."""
        self.clock = AdvancedClock(steady(reactor))
        self.service: Craftnet = build(
            self.settings,
            cast(IClock, self.clock),
            {SECRET_VARIABLE: SECRET, **self.environ},
            lambda: self.settings,  # what a test changes is there for a reload.
        )
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.stop)
        self.url = self.service.listener.url
        self.ws_url = self.url.replace("http", "ws", 1)

    async def stop(self) -> None:
        """Stop, unless the test did."""
        if self.service.running:
            await self.service.stopService()

    def send_raw(self, octets: bytes, *, at_once: bool = True) -> bytes:
        """Sends these on a new connection, and closes our half; returns everything that arrives. Blocks.

        Arguments:
            at_once: whether they are sent in one piece; else octet by octet.
        """
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (octets,) if at_once else (octets[at : at + 1] for at in range(len(octets))):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                return stream.read()

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """A treq response, its connection closed after it."""
        return await treq.request(method, self.url + path, persistent=False, **options)

    async def publish(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Post events as the crafting authority; answers what became of them."""
        headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json"}
        response = await self.request("POST", "/events", headers=headers, data=msgspec.json.encode(events))
        self.assertEqual(response.code, 202, await response.text())
        answer: dict[str, Any] = await response.json()
        return answer

    async def open(
        self, path: str, bearer: str | None = None, forwarded_for: str | None = None, **options: Any
    ) -> Peer:
        """A WebSocket of the `websockets` library."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        if forwarded_for is not None:
            headers["X-Forwarded-For"] = forwarded_for
        connection = await in_thread(
            lambda: connect(self.ws_url + path, additional_headers=headers, open_timeout=10, **options)
        )
        peer = Peer(connection)
        self.addCleanup(peer.close)
        return peer

    async def admin_feed(self, path: str) -> Peer:
        """A WebSocket that may watch anything."""
        return await self.open(path, token(None, ADMIN))


class Peer:
    """A WebSocket client in its own thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def receive(self) -> dict[str, Any]:
        """The next message. Raises `websockets.ConnectionClosed` instead when there is none."""
        message: dict[str, Any] = msgspec.json.decode(await in_thread(self.connection.recv, timeout=10))
        return message

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        await in_thread(self.connection.send, message)

    def close(self) -> Deferred[None]:
        """Hang up."""
        return in_thread(self.connection.close)


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """Run something that blocks."""
    return deferToThread(function, *args, **kwargs)


def dated(issued: float, token_id: str = "t-1", player_id: UUID = PLAYER) -> str:
    """A token issued at some moment."""
    claims = {"sub": str(player_id), "iat": int(issued), "exp": int(reactor.seconds() + 600), "jti": token_id}
    return jwt.encode(claims, SECRET, "HS256")
