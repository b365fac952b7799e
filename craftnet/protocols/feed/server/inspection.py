"""The connections of subscribers as administrators see them: rows, the end of one, and what is written to one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID
from zlib import crc32

import msgspec

from craftnet.clocks import IClock
from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.admin.sessions import ConnectionRow
from craftnet.contract.messages import rfc3339
from craftnet.crafting.updates import Encoding, Update
from craftnet.limits.client_address import address_block
from craftnet.protocols.feed.core.conflation import Conflation
from craftnet.protocols.feed.server.connections import Connection, Connections
from craftnet.runtime.sockets import tcp_info

CONNECTIONS_A_TURN = 500
"""Connections that are looked at before the reactor gets its turn: half a millisecond."""

ROWS_A_TURN = 20
"""Rows that are made before the reactor gets its turn: each asks the kernel."""

MAX_CLIENT_LENGTH = 80
"""Characters of a client's name that are kept."""

KIND = "feed"
"""What the ids of these connections begin with."""

_MASK = secrets.randbits(47)  # an id is derived from an address in memory, which must stay secret.

Recorder = Callable[[TraceEntry], None]
"""Takes what was written to a traced connection; its node is filled in later."""


@lru_cache(maxsize=1024)  # nearly all clients of a game are of a few versions: each name is kept once.
def client_name(text: str | None) -> str | None:
    """What a client calls itself, as far as it can be shown."""
    shown = "".join(each for each in (text or "")[:MAX_CLIENT_LENGTH] if each.isprintable())
    return shown or None


class HasClock(Protocol):
    """The part of a connection's factory that is needed here."""

    clock: IClock


class InspectedConnection(Connection, Protocol):
    """The part of a `craftnet.protocols.feed.server.subscriber.FeedSubscriber` that is shown."""

    transport: Any
    transport_name: str
    client: str | None
    encoding: Encoding

    @property
    def factory(self) -> HasClock:
        """Has the clock."""

    @property
    def watched(self) -> tuple[str, UUID | None]:
        """The kind of the feed, and its session."""

    @property
    def address(self) -> str | None:
        """The client's address as limits know it."""

    @property
    def encoding_name(self) -> str:
        """How updates are encoded."""

    @property
    def paused(self) -> bool:
        """Whether the client does not read."""

    @property
    def waiting(self) -> Conflation | None:
        """What waits."""

    @property
    def backlog(self) -> int:
        """Bytes that wait."""

    def inspect(self) -> ConnectionRow:
        """The row of this connection."""

    def disconnected(self) -> None:
        """An operator ends the connection."""


class FeedConnectionTable:
    """The open connections of subscribers.

    Arguments:
        connections: the open ones, each an `InspectedConnection`.
    """

    kind = KIND

    def __init__(self, connections: Connections[Any]) -> None:
        self._connections = connections

    def scan(self, player_id: UUID | None, *, waiting: bool) -> Iterator[list[ConnectionRow]]:
        """The rows of a player's connections, or of those for which something waits, in turns of bounded length."""
        connections = list(self._connections)
        for first in range(0, len(connections), CONNECTIONS_A_TURN):
            found = [
                connection
                for connection in connections[first : first + CONNECTIONS_A_TURN]
                if (player_id is None or _is_of(connection, player_id)) and (not waiting or connection.backlog)
            ]
            for some in range(0, len(found) or 1, ROWS_A_TURN):
                yield [connection.inspect() for connection in found[some : some + ROWS_A_TURN]]

    def disconnect(self, number: str) -> int:
        """Ends the connection with this id; returns how many there were: 0 or 1."""
        try:
            key = int(number[:-4], 16) ^ _MASK
        except ValueError:
            return 0
        connection = self._connections.find(key)
        if connection is None or connection_number(connection) != number:
            return 0
        connection.disconnected()
        return 1


def _is_of(connection: InspectedConnection, player_id: UUID) -> bool:
    found = connection.principal.player_id
    return found is not None and found.int == player_id.int


def connection_number(connection: InspectedConnection) -> str:
    """The id of an open connection: hexadecimal digits. Another connection in the same place has another id."""
    feed, session_id = connection.watched
    check = crc32(f"{feed} {session_id} {connection.principal.player_id}".encode()) & 0xFFFF
    return f"{id(connection) ^ _MASK:x}{check:04x}"


def connection_name(connection: InspectedConnection) -> str:
    """The id of an open connection, unique on its node."""
    return f"{KIND}.{connection_number(connection)}"


def connection_row(connection: InspectedConnection, peer: str, clock: IClock) -> ConnectionRow:
    """A connection as administrators see it.

    Arguments:
        peer: the client's address, or that of its proxy.
    """
    feed, session_id = connection.watched
    principal, waiting, tcp = connection.principal, connection.waiting, tcp_info(connection.transport)
    now, ahead = clock.seconds(), clock.wall() - clock.seconds()
    oldest = None if waiting is None else waiting.oldest
    return ConnectionRow(
        connection=connection_name(connection),
        node="",
        transport=connection.transport_name,
        feed=feed,
        encoding=connection.encoding_name,
        address=address_block(connection.address or peer),
        expires=rfc3339(principal.expires + ahead),
        session_id=session_id,
        player_id=principal.player_id,
        client=connection.client,
        token_id=principal.token_id,
        issued=None if principal.issued is None else rfc3339(principal.issued),
        scopes=sorted(principal.scopes),
        round_trip_ms=None if tcp is None else round(tcp.round_trip * 1000, 2),
        loss=None if tcp is None else round(tcp.loss, 4),
        waiting_updates=0 if waiting is None else len(waiting),
        waiting_bytes=connection.backlog + (0 if tcp is None else tcp.unsent),
        lag_seconds=None if oldest is None else round(max(0.0, now - oldest), 3),
    )


def plain(encoding: Encoding) -> Encoding:
    """The encoding itself, of a traced connection too."""
    return encoding.inner if isinstance(encoding, TracedEncoding) else encoding


def trace(connection: InspectedConnection, record: Recorder) -> Callable[[], None]:
    """Records what is given to a connection from now on; returns what ends that."""
    traced = connection.encoding
    if not isinstance(traced, TracedEncoding):
        traced = connection.encoding = TracedEncoding(connection, traced)
    traced.recorders.append(record)

    def stop() -> None:
        if record in traced.recorders:
            traced.recorders.remove(record)
        if not traced.recorders:
            connection.encoding = traced.inner

    return stop


class TracedEncoding:
    """Encodes as `inner` does, and records what a traced connection is given.

    It takes the place of the connection's encoding, so that nothing on the way of an update asks for traces.

    Arguments:
        connection: the connection, whose id does not change.
        recorders: who receives the entries.
    """

    def __init__(self, connection: InspectedConnection, inner: Encoding) -> None:
        self.inner = inner
        self.recorders: list[Recorder] = []
        self._connection = connection
        self._id = connection_name(connection)

    def __call__(self, update: Update) -> bytes:
        """As in `craftnet.crafting.updates.Encoding`."""
        octets, connection = update.encoded(self.inner), self._connection
        entry = TraceEntry(
            timestamp=rfc3339(connection.factory.clock.wall()),
            node="",
            direction="out",
            kind="stream" if connection.transport_name == "sse" else "frame",
            bytes=len(octets),
            name=", ".join(str(message.type) for message in update.messages),
            connection=self._id,
            transport=connection.transport_name,
            encoding=connection.encoding_name,
            waits=connection.paused,
            content=[msgspec.to_builtins(message) for message in update.messages],
        )
        for recorder in tuple(self.recorders):
            recorder(entry)
        return octets
