"""UDP connections as administrators see them: rows, the end of one, and each datagram to one, opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol
from uuid import UUID

import msgspec

from craftnet.clocks import IClock
from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.admin.sessions import ConnectionRow
from craftnet.contract.messages import rfc3339
from craftnet.errors import BadDatagram
from craftnet.limits.client_address import address_block
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.replay_window import expand
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.protocols.udp.server.dispatcher import Dispatcher
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind, FreshSecret

CONNECTIONS_A_TURN = 500
"""Connections that are looked at before the reactor gets its turn."""

KIND = "udp"
"""What the ids of these connections begin with, and their transport."""

_SEQUENCE_BITS = 16

Recorder = Callable[[TraceEntry], None]
"""Takes the datagrams to a traced connection; their node is filled in later."""

Sender = Callable[[bytes, Address], object]


class Ender(Protocol):
    """The part of a `craftnet.protocols.udp.server.datagram_protocol.UdpServer` that is needed here."""

    def disconnect(self, peer: ServerConnection) -> None:
        """Ends a connection for good."""


class UdpConnectionTable:
    """The open UDP connections."""

    kind = KIND

    def __init__(self, endpoint: Dispatcher, server: Ender, clock: IClock) -> None:
        self._endpoint = endpoint
        self._server = server
        self._clock = clock

    def scan(self, player_id: UUID | None, *, waiting: bool) -> Iterator[list[ConnectionRow]]:
        """The rows of a player's connections, or of those for which something waits, in turns of bounded length."""
        peers = list(self._endpoint.peers.values())
        for first in range(0, len(peers), CONNECTIONS_A_TURN):
            yield [
                connection_row(peer, sent.index, self._clock)
                for peer in peers[first : first + CONNECTIONS_A_TURN]
                if (player_id is None or peer.player_id.int == player_id.int)
                and (not waiting or peer.send_queue.waiting)
                for sent in peer.sessions.sent_states
            ]

    def disconnect(self, number: str) -> int:
        """Ends the connection with this id; returns how many there were: 0 or 1."""
        try:
            peer = self._endpoint.peers.get(int(number, 16))
        except ValueError:
            peer = None
        if peer is None:
            return 0
        self._server.disconnect(peer)
        return 1


def connection_row(peer: ServerConnection, index: int, clock: IClock) -> ConnectionRow:
    """A connection with one of its sessions, as administrators see it."""
    sent, ticket, path = peer.sessions.get(index), peer.ticket, peer.conditions
    permit = None if sent is None else sent.permit
    bearer = ticket.bearer if permit is None else permit.bearer
    queue, ahead = peer.send_queue, clock.wall() - clock.seconds()
    return ConnectionRow(
        connection=connection_name(peer),
        node="",
        transport=KIND,
        feed="crafting",
        encoding=encoding_name(peer),
        address=address_block(peer.address[0]),
        expires=rfc3339((clock.seconds() if permit is None else permit.expires) + ahead),
        session_id=None if permit is None else permit.session_id,
        player_id=ticket.player_id,
        client=ticket.client,
        token_id=None if bearer is None else bearer.token_id,
        issued=None if bearer is None or bearer.issued is None else rfc3339(bearer.issued),
        scopes=[] if bearer is None else sorted(bearer.scopes),
        round_trip_ms=None if path.round_trip is None else round(path.round_trip * 1000, 2),
        loss=round(path.loss_out, 4),
        waiting_updates=len(queue.waiting),
        waiting_bytes=sum(len(record.octets) for record in queue.waiting.values()),
    )


def log_ids(peer: ServerConnection, index: int) -> dict[str, Any]:
    """The ids of a connection and one of its sessions, by the names of their fields in the log."""
    sent = peer.sessions.get(index)
    return {
        "connection_id": connection_name(peer),
        "session_id": None if sent is None else sent.session_id,
        "player_id": peer.player_id,
    }


def encoding_name(peer: ServerConnection) -> str:
    """How records are encoded for a client."""
    compression = peer.ticket.agreement.compression
    return KIND if compression is None else f"{KIND} + {compression.name}"


def connection_name(peer: ServerConnection) -> str:
    """The id of a connection, unique on its node."""
    return f"{KIND}.{peer.connection_id:08x}"


def named_connection(datagram: bytes) -> str:
    """The id of the connection that a client's datagram names, as `connection_name`; the datagram may be forged."""
    return f"{KIND}.{codec.connection_id(datagram):08x}"


class DatagramTap:
    """Sends datagrams, and records those to traced connections.

    It takes the place of what sends datagrams while there are traces, so that nothing asks for them otherwise.

    Arguments:
        endpoint: knows the connections, and with them the keys.

    Attributes:
        send: sends a datagram.
        recorders: by connection id.
    """

    send: Sender

    def __init__(self, endpoint: Dispatcher, clock: IClock) -> None:
        self.recorders: dict[int, list[Recorder]] = {}
        self._endpoint = endpoint
        self._clock = clock

    def __call__(self, datagram: bytes, address: Address) -> None:
        """Sends a datagram; raises as `send`."""
        self.send(datagram, address)
        recorders = self.recorders.get(int.from_bytes(datagram[codec.CONNECTION_ID], "big"))
        if not recorders:
            return
        peer = self._endpoint.peers.get(int.from_bytes(datagram[codec.CONNECTION_ID], "big"))
        if peer is not None:
            entry = self._entry(peer, datagram)
            for recorder in tuple(recorders):
                recorder(entry)

    def _entry(self, peer: ServerConnection, datagram: bytes) -> TraceEntry:
        try:
            name, content = _opened(peer, datagram)
        except BadDatagram as error:  # of the handshake, or of an earlier connection.
            name, content = "handshake", {"outcome": error.outcome}
        return TraceEntry(
            timestamp=rfc3339(self._clock.wall()),
            node="",
            direction="out",
            kind="datagram",
            bytes=len(datagram),
            name=name,
            connection=connection_name(peer),
            transport=KIND,
            encoding=encoding_name(peer),
            content=content,
        )


def _opened(peer: ServerConnection, datagram: bytes) -> tuple[str, dict[str, Any]]:
    """The kind and the content of a datagram that was just sealed.

    Raises:
        BadDatagram: it is no sealed one.
    """
    _, kind, _, low = codec.decode_sealed_header(datagram)
    sequence = expand(low, _SEQUENCE_BITS, peer.channel.sent)
    header, sealed = datagram[: codec.SEALED_HEADER_SIZE], datagram[codec.SEALED_HEADER_SIZE :]
    opened = peer.channel.outgoing.open(sequence, header, sealed)
    newest, _ = codec.decode_acknowledgement(opened)
    body = opened[codec.ACKNOWLEDGEMENT_SIZE :]
    return kind.name, {"sequence": sequence, "acknowledges": newest, **_body(kind, body)}


def _body(kind: DatagramKind, body: bytes) -> dict[str, Any]:
    match kind:
        case DatagramKind.STATE:
            return {"records": [_record(record) for record in codec.decode_state(body)]}
        case DatagramKind.MESSAGE:
            fragment = codec.decode_fragment(body)
            return {"fragment": {**msgspec.to_builtins(fragment, builtin_types=(bytes,)), "octets": len(body)}}
        case DatagramKind.HEARTBEAT:
            return {"heartbeat": msgspec.to_builtins(codec.decode_heartbeat(body))}
        case DatagramKind.CLOSE:
            return {"reason": codec.decode_close(body).name}
        case _:
            return {}


def _record(record: Any) -> dict[str, Any]:
    """A record, without the secret that one kind of them has."""
    if isinstance(record, FreshSecret):
        return {"record": "FreshSecret", "secret": "***"}
    return {"record": type(record).__name__, **msgspec.to_builtins(record)}
