"""Savings and cost of compression over UDP: full states, uncompressed, with LZ4 and with zstd.

    python bench/udp_compression.py

Materials have random uuids (version 4), quantities up to 5,000 and qualities; every session has a progress as well.
Bytes are those of the datagrams plus 28 each for IPv4 and UDP. Time is CPU time from records to datagrams (choosing,
compressing, sealing), the minimum of some runs. LZ4 is also tried with a dictionary of other sessions' states.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from time import process_time
from uuid import UUID

from lz4.block import compress  # type: ignore[import-untyped]  # lz4 ships no annotations.

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.protocols.udp.core.compression import COMPRESSIONS, MAX_CONTENT
from craftnet.protocols.udp.core.heartbeat import RoundTrip
from craftnet.protocols.udp.core.keys import client_key, server_key
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, Agreement
from craftnet.protocols.udp.core.pacing import Pacer
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, AcknowledgedDatagrams, PacketProtection
from craftnet.protocols.udp.core.state_records import encoded, materials_records, progress_records
from craftnet.protocols.udp.server.send_queue import SendQueue

UDP_IP = 28
RUNS = 200
NOW = 1.8e9
ROOM = PATH_SIZE - OVERHEAD

State = tuple[int, str, Sequence[bytes]]
"""A session's index, a topic, its records."""

random = Random(1)


def uuids(count: int) -> list[UUID]:
    """Random uuids."""
    return [UUID(int=random.getrandbits(128), version=4) for _ in range(count)]


def states(sessions: list[list[UUID]]) -> list[State]:
    """The full state of sessions with these materials."""
    found: list[State] = []
    for index, materials in enumerate(sessions):
        progress = Progress(
            Status.ACTIVE, random.random() * 99, NOW + random.random() * 9, random.random() * 60, 50, 90
        )
        state = SessionState(UUID(int=index), UUID(int=1), random.randrange(200), progress)
        rows = tuple(Material(each, random.randrange(5000), random.randrange(1, 101)) for each in materials)
        table = MaterialsState(UUID(int=index), random.randrange(200), rows)
        found.append((index, "progress", encoded(progress_records(state, ROOM))))
        if materials:
            found.append((index, "materials", encoded(materials_records(table, ROOM - 2))))
    return found


def deliver(states: list[State], agreement: Agreement) -> tuple[list[bytes], float]:
    """Delivers the states, each acknowledged before the next; returns the datagrams and the microseconds."""
    nonce = bytes(16)
    channel = PacketProtection.of(1, server_key(bytes(32), nonce, nonce), client_key(bytes(32), nonce, nonce))
    queue = SendQueue(agreement, channel, RoundTrip(), Pacer())
    datagrams: list[bytes] = []
    for index, topic, records in states:
        queue.put(index, topic, records)
    now, spent = 0.0, 0.0
    while not queue.empty:
        begun = process_time()
        datagrams += queue.flush(now)
        spent += process_time() - begun
        queue.acknowledged(AcknowledgedDatagrams(channel.sent, (1 << channel.sent) - 1), now)
        now += 1.0
    return datagrams, spent * 1e6


def main() -> None:
    """Measures and prints."""
    same, many, pool = uuids(10), uuids(200), uuids(30)
    cases: dict[str, list[list[UUID]]] = {
        "1 session, 200 materials": [many],
        "1 session, 10 materials": [same],
        "8 sessions, the same 10 materials": [same] * 8,
        "8 sessions, each 10 of 30 materials": [random.sample(pool, 10) for _ in range(8)],
        "8 sessions, the same 200 materials": [many] * 8,
        "8 sessions, progress only": [[]] * 8,
        "32 sessions, progress only": [[]] * 32,
    }
    others = _all(states([uuids(10) for _ in range(16)]))[-4096:]
    for name, sessions in cases.items():
        updates = states(sessions)
        content = _all(updates)
        print(f"{name}: {len(content):,} bytes of records")
        for algorithm in (None, *COMPRESSIONS.values()):
            agreement = Agreement(PATH_SIZE, MAX_CONTENT, algorithm)
            datagrams, _ = deliver(updates, agreement)
            size = sum(map(len, datagrams)) + UDP_IP * len(datagrams)
            spent = min(deliver(updates, agreement)[1] for _ in range(RUNS))
            named = algorithm.name if algorithm else "none"
            print(f"  {named:5} {size:7,} bytes {len(datagrams):3} datagrams {spent:6.0f} µs")
        with_dictionary = len(compress(content, store_size=False, dict=others))
        print(
            f"  lz4 of all of it: {len(COMPRESSIONS['lz4'].compress(content)):,} bytes, with a dictionary "
            f"{with_dictionary:,}"
        )


def _all(updates: list[State]) -> bytes:
    return b"".join(octets for _, _, records in updates for octets in records)


if __name__ == "__main__":
    main()
