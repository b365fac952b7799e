"""The fast path of the server: a lone progress record out, its acknowledgement in, each in one function. Pure.

Each function first checks that nothing else is to be done. If so, it does what the general path does (`connection`,
`send_queue`, `packet_protection`); otherwise it returns without any change, and the general path takes over.

A function call takes longer than most of these steps. So the fast path writes them out again: numbering, sealing,
opening, the replay window and pacing of one datagram. `test_fast_path` compares both paths byte by byte.
"""

from __future__ import annotations

from math import inf

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
from craftnet.protocols.udp.core.table_delta import MAX_QUANTITY
from craftnet.protocols.udp.server.connection import BUCKET, NO_TABLES, ServerConnection
from craftnet.protocols.udp.server.packetizer import Key
from craftnet.protocols.udp.server.send_queue import NEVER
from craftnet.protocols.udp.server.sessions import SAME_FUNCTION
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.codec import encode_lone_progress
from craftnet.protocols.wire.records import DatagramKind

_PROGRESS: Key = (0, "progress", 0)
_HEADER = codec.SEALED_HEADER_SIZE
_ACKNOWLEDGEMENT = codec.ACKNOWLEDGEMENT_SIZE
_LONGEST = MAX_QUANTITY / 1000  # seconds.
_ACKS, _STATES = (
    tuple(codec.first_byte(kind) | phase for phase in (0, codec.PHASE))
    for kind in (DatagramKind.ACK, DatagramKind.STATE)
)
_write_header = codec.SEALED_HEADER.pack
_read_acknowledgement = codec.ACKNOWLEDGEMENT.unpack_from
_BUCKET_AHEAD, _BUCKET_EACH = BUCKET.ahead, BUCKET.each
_MOST_SENT = 1 << 31  # from here on an acknowledgement's number may have to be completed.

_PACED = OVERHEAD + codec.LONE_PROGRESS_SIZE - codec.ACKNOWLEDGEMENT_SIZE + IP_UDP_HEADERS

ACK_SIZE = OVERHEAD + len(NO_TABLES)
"""Bytes of the datagrams for `take_acknowledgement`."""


def lone_progress(
    peer: ServerConnection, state: SessionState, now: float, index: int, at: Position | None
) -> bytes | None:
    """The datagram with the progress of the only session; empty when the client knows it.

    Returns:
        None when there is anything else to do, or to refuse: then nothing was done.
    """
    sessions = peer.sessions.sent_states
    if len(sessions) != 1 or peer.closing_state is not None or peer.finished is not None or index:
        return None
    sent, truth = sessions[0], state.progress
    known, remaining, permit = sent.progress, truth.remaining, sent.permit
    if known is None or permit.index or permit.over is not None or (at is not None and sent.at is None):
        return None
    if misled_by(known.progress, truth, now, now + (remaining or 0.0), SAME_FUNCTION) is None:
        return b""
    queue, pace, channel = peer.send_queue, peer.pace, peer.channel
    if (
        queue.waiting
        or queue.flying
        or (queue.single is not None and queue.single is not _PROGRESS)
        or now < pace.opens
        or truth.failure_reason
        or truth.anchor < 0.0
        or (remaining is not None and remaining > _LONGEST)
    ):
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
    except BadDatagram:
        return None
    sent.note(state, now)
    if at is not None:
        sent.at = at
    channel.sent = sequence = channel.sent + 1
    header = _write_header(_STATES[keys.phase], channel.connection_id, sequence & 0xFFFF)
    cipher, iv = keys.kept or keys.made()
    datagram = header + cipher.encrypt((iv ^ sequence).to_bytes(12, "big"), content, header)
    opens, rested = pace.opens, now - BURST_SECONDS
    pace.opens = (opens if opens > rested else rested) + _PACED / pace.rate
    queue.single, queue.single_octets, queue.single_sequence = _PROGRESS, content[_ACKNOWLEDGEMENT:], sequence
    queue.retry_at = now + (queue.timeout if queue.attempts else peer.pulse.round_trip.timeout + MAX_ACK_DELAY)
    return datagram


def take_acknowledgement(
    peer: ServerConnection, datagram: bytes, first: int, low: int, address: Address, now: float
) -> bool:
    """Handles an ACK of `ACK_SIZE` bytes in order, from the client's address, on a connection with one session.

    Arguments:
        first, low: its header without the connection id: kind and key phase, and the low bits of its sequence.

    Returns:
        False when it is anything else: then nothing was done.

    Raises:
        BadDatagram: it is forged.
    """
    channel, queue = peer.channel, peer.send_queue
    keys, full_at = channel.incoming, peer.full_at
    sequence = channel.newest + 1
    if (
        low != sequence & 0xFFFF
        or first != _ACKS[keys.phase]
        or address != peer.address
        or (peer.path is not None and peer.path.candidate is not None)
        or queue.flying
        or peer.closing_state is not None
        or len(peer.sessions.sent_states) != 1
        or full_at - now > _BUCKET_AHEAD
    ):
        return False
    cipher, iv = keys.kept or keys.made()
    header = datagram[:_HEADER]
    try:
        content = cipher.decrypt((iv ^ sequence).to_bytes(12, "big"), datagram[_HEADER:], header)
    except InvalidTag:
        raise BadDatagram("forged", "the tag is wrong") from None
    newest, earlier = _read_acknowledgement(content)
    if (
        content[_ACKNOWLEDGEMENT:] != peer.reported
        or not 0 < newest <= channel.sent < _MOST_SENT
        or (newest <= ACKNOWLEDGED and earlier >> newest - 1)
    ):
        return False
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
        queue.single, queue.single_octets, queue.retry_at = None, b"", inf
        if queue.attempts:
            queue.attempts, queue.doubles_at = 0, NEVER
    return True
