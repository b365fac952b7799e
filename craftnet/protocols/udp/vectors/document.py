"""Test vectors for other implementations of the protocol.

python -m craftnet.protocols.udp.vectors > protocol/vectors.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from uuid import UUID

from msgspec import UNSET, Struct
from msgspec.structs import asdict

from craftnet.contract.messages import ChangeType, MaterialChange, MaterialProblem, Status
from craftnet.contract.position import Position, Versions
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material
from craftnet.protocols.udp.core.keys import (
    HandshakeKey,
    SessionToken,
    TrafficKey,
    client_key,
    handshake_material,
    server_key,
    traffic_material,
)
from craftnet.protocols.udp.vectors import behaviours, key_exchange, messages, outcomes
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import (
    Challenge,
    ChallengeResponse,
    CloseReason,
    Cookie,
    DatagramKind,
    Fragment,
    FreshSecret,
    HeartbeatBody,
    Hello,
    MaterialsDelta,
    MaterialsPart,
    MaterialsRecord,
    Problem,
    ProblemsPart,
    ProgressFlags,
    ProgressRecord,
    ProgressState,
    ReasonPart,
    RowChange,
    Selector,
    SessionName,
    SessionOver,
    StateRecord,
)

Json = dict[str, object]

SECRET = bytes(range(32))
CONNECTION_ID = 0xDEADBEEF
CLIENT_NONCE = b"c" * 16
SERVER_NONCE = b"s" * 16
COOKIE = Cookie(1_800_000_000_000_000, SERVER_NONCE, b"k" * 16)
GENERATIONS = 3
"""Generations of each direction whose keys are in the document."""

_SESSION = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
_IRON, _COPPER = UUID(int=0x11), UUID(int=0x22)
_WHEN = 1_800_000_000.123

STATES: dict[str, tuple[StateRecord, ...]] = {
    "active": (ProgressState(7, Progress(Status.ACTIVE, 33.33, _WHEN, 12.5, 40, 90)),),
    "nothing is known": (ProgressState(8, Progress(Status.PAUSED, 0.0, _WHEN)),),
    "completed": (ProgressState(9, Progress(Status.COMPLETED, 100.0, _WHEN, 0.0, 100, 100)),),
    "failed, with its reason in two parts": (
        ProgressState(10, Progress(Status.FAILED, 12.34, _WHEN, 0.0)),
        ReasonPart(10, 11, 0, b"recipe"),
        ReasonPart(10, 11, 6, b"_lost"),
    ),
    "a table with a problem": (
        MaterialsPart(3, 2, 1, 0, (Material(_IRON, 10, 50), Material(_COPPER, 1))),
        ProblemsPart(3, 0, (Problem(1, MaterialProblem.INSUFFICIENT_QUANTITY, 5, 1),)),
    ),
    "an empty table": (MaterialsPart(1, 0, 0, 0, ()),),
    "a change of one of ten quantities": (MaterialsDelta(7, 1, 10, (RowChange(3, 900),)),),
    "everything that can change": (
        MaterialsDelta(
            2**32 - 1,
            255,
            300,
            (
                RowChange(0, 0, 0, None),
                RowChange(7, quality=100),
                RowChange(255, 2**32 - 2, None, Problem(255, MaterialProblem.QUALITY_TOO_LOW, None, 0, 60, 59)),
                RowChange(299, problem=Problem(299, MaterialProblem.MATERIAL_UNAVAILABLE, 2**32 - 2)),
            ),
        ),
    ),
    "a fresh secret": (FreshSecret(bytes(range(32, 64))),),
    "of three sessions; the second is over": (
        ProgressState(11, Progress(Status.ACTIVE, 50.0, _WHEN, 30.0)),
        Selector(1),
        SessionOver(CloseReason.ENDED),
        Selector(255),
        ProgressState(1, Progress(Status.ACTIVE, 0.0, _WHEN, 60.0)),
        MaterialsPart(2, 1, 0, 0, (Material(_IRON, 3),)),
    ),
    "where the feed is": (
        Position("6c0ffee5", Versions(7, 4, 1).encoded, over_udp=True),
        Selector(2),
        Position("_" * 64, 2**53 - 1, over_udp=True),
    ),
    "a session that the server added": (
        Selector(3),
        SessionName(_SESSION),
        ProgressState(1, Progress(Status.ACTIVE, 0.0, _WHEN, 60.0)),
    ),
    "progress and materials": (
        ProgressState(11, Progress(Status.INTERRUPTED, 50.0, _WHEN, 30.0)),
        MaterialsPart(4, 1, 0, 0, (Material(_IRON, 2**32 - 2, 1),)),
    ),
}

SEALED: tuple[tuple[str, str, int, int, DatagramKind, bytes], ...] = (
    # name, from, generation, sequence, kind, body.
    ("the first", "client", 0, 1, DatagramKind.HEARTBEAT, codec.encode_heartbeat(HeartbeatBody(1_800_000_000_000_000))),
    (
        "an answer",
        "server",
        0,
        1,
        DatagramKind.HEARTBEAT,
        codec.encode_heartbeat(HeartbeatBody(1_800_000_000_050_000, 5, 6)),
    ),
    ("a state", "server", 0, 2, DatagramKind.STATE, codec.encode_state_record(STATES["active"][0])),
    ("its acknowledgement", "client", 0, 2, DatagramKind.ACK, codec.encode_held({})),
    ("a table is held", "client", 0, 3, DatagramKind.ACK, codec.encode_held({0: 3})),
    (
        "tables of three sessions are held",
        "client",
        0,
        7,
        DatagramKind.ACK,
        codec.encode_held({0: 3, 1: 2**32 - 1, 9: 5}),
    ),
    ("a table is held, but not of session 0", "client", 0, 8, DatagramKind.ACK, codec.encode_held({2: 4})),
    ("two sessions are left", "client", 0, 9, DatagramKind.LEAVE, codec.encode_leave([0, 3])),
    ("a request", "client", 0, 4, DatagramKind.RESYNC, b""),
    ("beyond 16 bits", "client", 0, 65_537, DatagramKind.RESYNC, b""),
    ("a challenge", "server", 0, 3, DatagramKind.PATH_CHALLENGE, codec.encode_probe(b"12345678")),
    ("its answer", "client", 0, 5, DatagramKind.PATH_RESPONSE, codec.encode_probe(b"12345678")),
    ("after a rotation", "client", 1, 6, DatagramKind.RESYNC, b""),
    ("after two rotations", "server", 2, 70_000, DatagramKind.CLOSE, codec.encode_close(CloseReason.GOING_AWAY)),
    ("part of a message", "server", 0, 9, DatagramKind.MESSAGE, codec.encode_fragment(Fragment(1, 2, 300, b"packed"))),
    ("the end", "server", 0, 4, DatagramKind.CLOSE, codec.encode_close(CloseReason.ENDED)),
)

POSTED = (
    ProgressRecord(7, 1_800_000_000_123, _SESSION, 33.33, 12.5, 40, 90, ProgressFlags.PAUSED),
    ProgressRecord(2**32 - 1, 0, _SESSION, 100.0, flags=ProgressFlags.COMPLETED),
    MaterialsRecord(1, 2, _SESSION),
    MaterialsRecord(
        1,
        2,
        _SESSION,
        (
            MaterialChange(material_id=_IRON, change_type=ChangeType.ADDED, new_quantity=3, new_quality=60),
            MaterialChange(material_id=_COPPER, change_type=ChangeType.REMOVED),
        ),
    ),
)

DECODERS: dict[DatagramKind, Callable[[bytes], object]] = {
    DatagramKind.HEARTBEAT: codec.decode_heartbeat,
    DatagramKind.CLOSE: codec.decode_close,
    DatagramKind.ACK: codec.decode_held,
    DatagramKind.LEAVE: codec.decode_leave,
    DatagramKind.RESYNC: codec.decode_nothing,
    DatagramKind.PATH_CHALLENGE: codec.decode_probe,
    DatagramKind.PATH_RESPONSE: codec.decode_probe,
    DatagramKind.STATE: codec.decode_state,
    DatagramKind.MESSAGE: codec.decode_fragment,
}


_RECORDS = (ProgressState, ReasonPart, MaterialsPart, ProblemsPart, MaterialsDelta, Selector, SessionOver, SessionName)


def described(value: object) -> object:
    """A decoded value as JSON: bytes in hexadecimal, UNSET fields left out."""
    match value:
        case FreshSecret():
            return {"record": "FreshSecret", "secret": value.secret.hex()}
        case Position():
            return {"record": "Position", "epoch": value.epoch, "version": value.version}
        case Struct():
            fields = {name: described(part) for name, part in asdict(value).items() if part is not UNSET}
            return {"record": type(value).__name__, **fields} if isinstance(value, _RECORDS) else fields
        case bytes():
            return value.hex()
        case Enum():
            return value.value
        case UUID():
            return str(value)
        case dict():
            return {str(name): described(part) for name, part in value.items()}
        case tuple() | list():
            return [described(part) for part in value]
    return value


def generations(direction: str) -> list[tuple[bytes, bytes]]:
    """The keys and IVs of a direction, `client` or `server`, by generation."""
    found, secret, salt = [], SECRET, CLIENT_NONCE + SERVER_NONCE
    for _ in range(GENERATIONS):
        key, iv, secret = traffic_material(secret, salt, direction.encode())
        found.append((key, iv))
        salt = b""
    return found


def traffic_key(direction: str, generation: int) -> TrafficKey:
    """The key that seals the datagrams of a direction and generation."""
    key = (client_key if direction == "client" else server_key)(SECRET, CLIENT_NONCE, SERVER_NONCE)
    for _ in range(generation):
        key = key.successor()
    return key


def document() -> Json:
    """The whole document."""
    return {
        "version": 1,
        "secret": SECRET.hex(),
        "connection_id": f"{CONNECTION_ID:08x}",
        "session_token": SessionToken(CONNECTION_ID, SECRET).text,
        "client_nonce": CLIENT_NONCE.hex(),
        "server_nonce": SERVER_NONCE.hex(),
        "keys": {
            "handshake": handshake_material(SECRET).hex(),
            **{
                direction: [{"key": key.hex(), "iv": iv.hex()} for key, iv in generations(direction)]
                for direction in ("client", "server")
            },
        },
        "handshake": list(_handshake()),
        "sealed": list(_sealed()),
        "states": [
            {
                "name": name,
                "body": b"".join(map(codec.encode_state_record, records)).hex(),
                "records": described(records),
            }
            for name, records in STATES.items()
        ],
        **messages.document(),
        "posted": [
            {
                "record": type(record).__name__,
                "octets": (
                    codec.encode_progress(record)
                    if isinstance(record, ProgressRecord)
                    else codec.encode_materials(record)
                ).hex(),
                **_fields(record),
            }
            for record in POSTED
        ],
        "malformed_posted": [
            {"name": name, "octets": octets, "outcome": outcome}
            for name, (octets, outcome) in outcomes.MALFORMED_POSTED.items()
        ],
        "malformed_states": [
            {"name": name, "body": body, "outcome": outcome}
            for name, (body, outcome) in outcomes.MALFORMED_STATES.items()
        ],
        "malformed_bodies": [
            {"name": name, "kind": kind.name, "body": body, "outcome": outcome}
            for name, (kind, body, outcome) in outcomes.MALFORMED_BODIES.items()
        ],
        "malformed_datagrams": list(_malformed_datagrams()),
        "arrivals": list(_arrivals()),
        "challenges": list(_challenges()),
        **_behaviour(),
        **key_exchange.document(SessionToken(CONNECTION_ID, SECRET)),
    }


def _behaviour() -> Json:
    behaviour = described(behaviours.document())
    assert isinstance(behaviour, dict)
    return behaviour


def _challenges() -> Iterable[Json]:
    """What a client that has sent the HELLO receives instead of the CHALLENGE; then that, twice."""
    key = HandshakeKey.of(SECRET)
    content = codec.encode_challenge(Challenge(CONNECTION_ID, CLIENT_NONCE, COOKIE))
    others = (
        codec.encode_challenge(Challenge(1, CLIENT_NONCE, COOKIE)),
        codec.encode_challenge(Challenge(CONNECTION_ID, SERVER_NONCE, COOKIE)),
        bytes([content[0] | codec.PHASE]) + content[1:],
        bytes([content[0] ^ 0xC0]) + content[1:],
    )
    return outcomes.challenges(key.sign(content), [key.sign(other) for other in others])


def _fields(record: Struct) -> Json:
    fields = described(record)
    assert isinstance(fields, dict)
    return fields


def _handshake() -> Iterable[Json]:
    key = HandshakeKey.of(SECRET)
    for name, content in (
        ("HELLO", codec.encode_hello(Hello(CONNECTION_ID, CLIENT_NONCE))),
        ("CHALLENGE", codec.encode_challenge(Challenge(CONNECTION_ID, CLIENT_NONCE, COOKIE))),
        ("RESPONSE", codec.encode_response(ChallengeResponse(CONNECTION_ID, CLIENT_NONCE, COOKIE))),
    ):
        yield {
            "kind": name,
            "issued_us": COOKIE.issued_us,
            "cookie": COOKIE.seal.hex(),
            "datagram": key.sign(content).hex(),
        }


def sealed(
    direction: str, generation: int, sequence: int, kind: DatagramKind, body: bytes
) -> tuple[bytes, bytes, bytes]:
    """Header, content and the whole datagram; it acknowledges sequence 1, and nothing earlier."""
    header = codec.encode_sealed_header(generation & 1, kind, CONNECTION_ID, sequence)
    content = codec.encode_acknowledgement(int(sequence > 1), 0) + body
    return header, content, header + traffic_key(direction, generation).seal(sequence, header, content)


def _sealed() -> Iterable[Json]:
    for name, direction, generation, sequence, kind, body in SEALED:
        header, content, datagram = sealed(direction, generation, sequence, kind, body)
        yield {
            "name": name,
            "from": direction,
            "generation": generation,
            "sequence": sequence,
            "kind": kind.name,
            "header": header.hex(),
            "content": content.hex(),
            "datagram": datagram.hex(),
            "decoded": described(DECODERS[kind](body)),
        }


def _malformed_datagrams() -> Iterable[Json]:
    """What a client refuses that has sealed fewer than 9 datagrams and opened one: the server's first."""
    body = SEALED[1][5]
    _, _, good = sealed("server", 0, 2, DatagramKind.HEARTBEAT, body)
    _, _, first = sealed("server", 0, 1, DatagramKind.HEARTBEAT, body)
    _, _, own = sealed("client", 0, 2, DatagramKind.HEARTBEAT, body)
    _, _, zeroth = sealed("server", 0, 0, DatagramKind.HEARTBEAT, body)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for name, datagram, outcome in (
        ("empty", b"", "truncated"),
        ("30 bytes", good[:30], "truncated"),
        ("a flipped bit of the tag", bytes(flipped), "forged"),
        ("another kind", bytes([codec.first_byte(DatagramKind.CLOSE)]) + good[1:], "forged"),
        ("another key phase", bytes([good[0] ^ codec.PHASE]) + good[1:], "forged"),
        ("another sequence", good[:6] + b"\x03" + good[7:], "forged"),
        ("another version", bytes([good[0] ^ 0xC0]) + good[1:], "reserved"),
        ("another connection", good[:4] + b"\x00" + good[5:], "unknown_connection"),
        ("what was received before", first, "replayed"),
        ("our own", own, "forged"),
        ("before the first", zeroth, "stale"),
        ("an acknowledgement of what was never sent", _acknowledging(9, 0), "out_of_range"),
        ("an acknowledgement of what came before the first", _acknowledging(1, 1), "out_of_range"),
        ("an acknowledgement of nothing, and of what came before", _acknowledging(0, 1), "out_of_range"),
    ):
        yield {"name": name, "datagram": datagram.hex(), "outcome": outcome}


def _acknowledging(newest: int, earlier: int) -> bytes:
    """The server's datagram 2, with this acknowledgement."""
    header = codec.encode_sealed_header(0, DatagramKind.HEARTBEAT, CONNECTION_ID, 2)
    content = codec.encode_acknowledgement(newest, earlier) + SEALED[1][5]
    return header + traffic_key("server", 0).seal(2, header, content)


def _arrivals() -> Iterable[Json]:
    for name, sequence, generation, outcome in outcomes.ARRIVALS:
        _, _, datagram = sealed("server", generation, sequence, DatagramKind.HEARTBEAT, SEALED[1][5])
        yield {
            "name": name,
            "sequence": sequence,
            "generation": generation,
            "datagram": datagram.hex(),
            "outcome": outcome,
        }
