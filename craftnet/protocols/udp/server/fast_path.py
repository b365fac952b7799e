"""The fast path of the server: a lone progress record out, its acknowledgement in, each in one function. Pure.

Each function first checks that nothing else is to be done. If so, it does what the general path does (`connection`,
`send_queue`, `packet_protection`); otherwise it returns without any change, and the general path takes over.

A function call takes longer than most of these steps. So the fast path writes them out again: numbering, sealing,
opening, the replay window and pacing of one datagram. `test_fast_path` compares both paths byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from struct import Struct

from cryptography.exceptions import InvalidTag

from craftnet.contract.position import Position
from craftnet.crafting.progress import misled_by
from craftnet.crafting.state import SessionState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.heartbeat import MAX_ACK_DELAY
from craftnet.protocols.udp.core.pacing import BURST_SECONDS, IP_UDP_HEADERS
from craftnet.protocols.udp.core.packet_protection import ACKNOWLEDGED, OVERHEAD
from craftnet.protocols.udp.core.path_stats import OBSERVED_DATAGRAMS, SEEN_MASK
from craftnet.protocols.udp.core.replay_window import SMOOTHING, WINDOW_MASK
from craftnet.protocols.udp.server.connection import BUCKET, NO_TABLES, ServerConnection
from craftnet.protocols.udp.server.packetizer import Key
from craftnet.protocols.udp.server.send_queue import NEVER
from craftnet.protocols.udp.server.sessions import SAME_FUNCTION
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.codec import encode_lone_progress
from craftnet.protocols.wire.records import DatagramKind

_PROGRESS: Key = (0, "progress", 0)
_HEADER = codec.SEALED_HEADER_SIZE
_ACKS, _STATES = (
    tuple(codec.first_byte(kind) | phase for phase in (0, codec.PHASE))
    for kind in (DatagramKind.ACK, DatagramKind.STATE)
)
_write_header = codec.SEALED_HEADER.pack
_read_acknowledgement = Struct(f"{codec.ACKNOWLEDGEMENT.format}{len(NO_TABLES)}s").unpack
_BUCKET_AHEAD, _BUCKET_EACH = BUCKET.ahead, BUCKET.each
_MOST_SENT = 1 << 31  # from here on an acknowledgement's number may have to be completed.

_PACED = OVERHEAD + codec.LONE_PROGRESS_SIZE - codec.ACKNOWLEDGEMENT_SIZE + IP_UDP_HEADERS

ACK_SIZE = OVERHEAD + len(NO_TABLES)
"""Bytes of the datagrams for `take_acknowledgement`."""

_read_datagram = Struct(f"{codec.SEALED_HEADER.format}{ACK_SIZE - _HEADER}s").unpack


def lone_progress(
    peer: ServerConnection, state: SessionState, now: float, index: int, at: Position | None
) -> bytes | None:
    """The datagram with the progress of the only session; empty when the client knows it.

    Returns:
        None when there is anything else to do, or to refuse: then nothing was done.
    """
    sent, truth = peer.sessions.lone, state.progress
    if sent is None or index or peer.closing_state is not None or peer.finished is not None:
        return None
    known, remaining = sent.progress, truth.remaining
    if known is None or (at is not None and sent.at is None):
        return None
    if misled_by(known.progress, truth, now, now + (remaining or 0.0), SAME_FUNCTION) is None:
        return b""
    queue, channel = peer.send_queue, peer.channel
    pace = queue.pace
    if queue.waiting or queue.flying or now < pace.opens or truth.failure_reason:
        return None
    keys = channel.outgoing
    try:
        content = encode_lone_progress(
            channel.newest,
            channel.seen >> 1,
            state.version & 0xFFFFFFFF,
            truth.anchor,
            truth.percent,
            truth.status,
            truth.quality,
            truth.target_quality,
            remaining,
        )
    except BadDatagram:  # what does not fit into one record, or into none.
        return None
    sent.note(state, now)
    if at is not None:
        sent.at = at
    channel.sent = sequence = channel.sent + 1
    header = _write_header(_STATES[keys.phase], channel.connection_id, sequence & 0xFFFF)
    cipher, iv = keys.kept, keys.iv_number
    if cipher is None:
        cipher, iv = keys.made()
    datagram = header + cipher.encrypt((iv ^ sequence).to_bytes(12), content, header)
    opens, rested = pace.opens, now - BURST_SECONDS
    pace.opens = (opens if opens > rested else rested) + _PACED / pace.rate
    queue.single, queue.single_content, queue.single_sequence = _PROGRESS, content, sequence
    queue.retry_at = now + (queue.timeout if queue.attempts else queue.round_trip.timeout + MAX_ACK_DELAY)
    return datagram


def take_acknowledgement(
    peers: Mapping[int, ServerConnection], datagram: bytes, address: Address, now: float
) -> ServerConnection | None:
    """Handles an ACK of `ACK_SIZE` bytes in order, from the client's address, on a connection with one session.

    Returns:
        The connection. None when the datagram is anything else: then nothing was done.

    Raises:
        BadDatagram: it is forged.
    """
    first, connection_id, low, sealed = _read_datagram(datagram)
    peer = peers.get(connection_id)
    if peer is None:
        return None
    channel, queue = peer.channel, peer.send_queue
    keys, sequence, full_at = channel.incoming, channel.newest + 1, peer.full_at
    if (
        low != sequence & 0xFFFF
        or first != _ACKS[keys.phase]
        or address != peer.address
        or (peer.path is not None and peer.path.candidate is not None)
        or queue.flying
        or peer.closing_state is not None
        or peer.sessions.lone is None
        or full_at - now > _BUCKET_AHEAD
    ):
        return None
    cipher, iv = keys.kept, keys.iv_number
    if cipher is None:
        cipher, iv = keys.made()
    try:
        content = cipher.decrypt((iv ^ sequence).to_bytes(12), sealed, datagram[:_HEADER])
    except InvalidTag:
        raise BadDatagram("forged", "the tag is wrong") from None
    newest, earlier, body = _read_acknowledgement(content)
    if (
        body != peer.reported
        or not 0 < newest <= channel.sent < _MOST_SENT
        or (newest <= ACKNOWLEDGED and earlier >> newest - 1)
    ):
        return None
    channel.newest = sequence
    channel.seen = channel.seen << 1 & WINDOW_MASK | 1
    if channel.reordered:  # each difference is another float object.
        channel.reordered -= channel.reordered / SMOOTHING
    bits = earlier << 1 | 1
    acknowledged = channel.acknowledged
    ahead = newest - acknowledged.newest
    if 0 <= ahead < OBSERVED_DATAGRAMS:
        acknowledged.newest, acknowledged.arrived = newest, (acknowledged.arrived << ahead | bits) & SEEN_MASK
    else:
        acknowledged.take(newest, bits)
    peer.full_at = (full_at if full_at > now else now) + _BUCKET_EACH
    peer.pulse.last_heard = now
    behind = newest - queue.single_sequence
    if queue.single is not None and behind >= 0 and bits >> behind & 1:
        queue.single, queue.single_content, queue.retry_at = None, b"", inf
        queue.attempts, queue.doubles_at = 0, NEVER
    return peer
