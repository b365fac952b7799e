"""Players who watch over WebSockets, lose their connections, return, and record everything that they receive.

They use Autobahn alone, so that the service's own client cannot hide a node's mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from craftnet.access.development import sign_token
from craftnet.tests.faults.records import Closed, Opened, ReceivedMessage, Record
from craftnet.tests.support.live import SECRET

SUBPROTOCOL = "craftnet.json.v1"

AGAIN = 0.1
"""Minimum seconds until a refused or disconnected player returns."""

TOKEN = 2 * 3600.0
"""Seconds before and after now for which tokens hold: some nodes believe that it is another hour."""

NOT_FOUND = 404
"""The status by which a node that is ready refuses a craft that Redis has lost."""

CONNECT = 3.0
"""Seconds for a node to take a connection, and to answer a handshake."""


def bearer(player: UUID | None, *scopes: str) -> str:
    """A token that every node takes, whatever its clock shows."""
    begun = cast(Any, reactor).seconds() - TOKEN
    return sign_token(SECRET.encode(), player, scopes, 2 * TOKEN, begun)


class _Connection(WebSocketClientProtocol):
    """One connection of a player."""

    def __init__(self, take: Callable[[ReceivedMessage], None]) -> None:
        super().__init__()
        self._take = take
        self.status = 0
        self.code: int | None = None
        self.opened: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def onOpen(self) -> None:
        """The node has accepted the handshake."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message."""
        self._take(ReceivedMessage(msgspec.json.decode(payload)))

    def failHandshake(self, reason: str) -> None:
        """The node has refused it; Autobahn gives the status in words."""
        found = re.search(r"\[(\d+)\]", reason)
        self.status = int(found[1]) if found else 0
        super().failHandshake(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is closed."""
        self.code = self.status or self.remoteCloseCode or 1006
        if not self.opened.called:
            self.opened.errback(ConnectionError(reason))
        self.lost.callback(None)


class Player:
    """One player at one feed.

    Arguments:
        path: of the feed.
        ports: of the nodes; 0 for one that does not run.
        node: which node to come to first; later the random one decides.

    Attributes:
        record: what happened.
        answered: whether a node has accepted or refused the player since it last lost its connection.
    """

    def __init__(self, path: str, player: UUID, ports: Callable[[], Sequence[int]], node: int, random: Random) -> None:
        self.record = Record()
        self.answered = False
        self._path = path
        self._player = player
        self._ports = ports
        self._next: int | None = node
        self._random = random
        self._connection: _Connection | None = None
        self._forgetful = False
        self._living: Deferred[None] | None = None

    @property
    def watching(self) -> bool:
        """Whether it is connected somewhere and has received something."""
        connection = self._connection
        return (
            connection is not None and connection.opened.called and isinstance(self.record.entries[-1], ReceivedMessage)
        )

    def start(self) -> None:
        """Begin to watch."""
        self._living = Deferred.fromCoroutine(self._live())
        self._living.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stop(self) -> None:
        """Stops watching."""
        if self._living is not None:
            self._living.cancel()
        self._drop()

    def hop(self, node: int | None = None, *, forgetful: bool = False) -> None:
        """Lose the connection, and come back, to `node` or any.

        Arguments:
            forgetful: without a position.
        """
        self._next = node
        self._forgetful = forgetful
        self.answered = False
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None and self._connection.transport is not None:
            cast(Any, self._connection.transport).abortConnection()

    async def _live(self) -> None:
        while True:
            # A disconnected player tries any node, as behind a balancer.
            node = self._random.randrange(len(self._ports())) if self._next is None else self._next
            self._next = None
            if self._ports()[node]:
                await self._watch(node)
            await deferLater(cast(Any, reactor), AGAIN * self._random.uniform(1.0, 2.0))

    def _accepted(self, connection: _Connection) -> None:
        self.answered = connection is self._connection

    async def _watch(self, node: int) -> None:
        resume = ""
        if self.record.position is not None and not self._forgetful:
            epoch, version = self.record.position
            resume = f"{epoch}:{version}"
        self._forgetful = False
        connection = self._connection = _Connection(self.record.take)
        more = f"{'&' if '?' in self._path else '?'}resume={resume}" if resume else ""
        if not await _connected(connection, self._ports()[node], self._path + more, self._player):
            self._connection = None
            return
        self.record.take(Opened(node, resume))
        connection.opened.addCallbacks(lambda _: self._accepted(connection), lambda _: None)
        await connection.lost
        self._connection = None
        self.answered = connection.status == NOT_FOUND
        self.record.take(Closed(connection.code or 1006))


async def handshake(port: int) -> int:
    """The status with which a node refuses a queue watcher; 101 when it does not."""
    player = uuid4()
    connection = _Connection(lambda message: None)
    if not await _connected(connection, port, f"/ws/queue/{player}", player):
        return 0
    connection.opened.addBoth(lambda _: cast(Any, connection.transport).abortConnection())
    await connection.lost
    return connection.status or 101


async def _connected(connection: _Connection, port: int, path: str, player: UUID) -> bool:
    """Connects; returns whether the server accepted."""
    factory: Any = WebSocketClientFactory(
        f"ws://127.0.0.1:{port}{path}",
        protocols=[SUBPROTOCOL],
        headers={"Authorization": f"Bearer {bearer(player)}"},
    )
    factory.noisy = False
    factory.setProtocolOptions(openHandshakeTimeout=CONNECT, closeHandshakeTimeout=1)
    connection.factory = factory
    factory.buildProtocol = lambda address: connection
    try:
        await TCP4ClientEndpoint(cast(Any, reactor), "127.0.0.1", port, CONNECT).connect(factory)
    except CancelledError:
        raise
    except Exception:  # whatever it is, the node does not take it.
        return False
    return True
