"""The values that datagrams and the HTTP interface's binary bodies carry."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from craftnet.closecodes import CloseCode
from craftnet.messages import MaterialChange, MaterialProblem
from craftnet.model import Progress
from craftnet.positions import Position
from craftnet.state import Material


class ProgressFlags(IntFlag):
    """What a progress record says beside its numbers; none of them: active."""

    PAUSED = 1
    INTERRUPTED = 2
    COMPLETED = 4
    FAILED = 8


class ProgressRecord(Struct, frozen=True, gc=False):
    """UdpProgressUpdate: what a client believes.

    Attributes:
        sequence: 0 … 2³²−1.
        timestamp_ms: Unix milliseconds.
        percent: 0–100, carried in hundredths.
        remaining: seconds, carried in milliseconds; None when unknown.
        quality, target_quality: 1–100, or None.
    """

    sequence: int
    timestamp_ms: int
    session_id: UUID
    percent: float
    remaining: float | None = None
    quality: int | None = None
    target_quality: int | None = None
    flags: ProgressFlags = ProgressFlags(0)


class MaterialsRecord(Struct, frozen=True):
    """UdpMaterialUpdate: changes a client believes have happened. At most 200 of them."""

    sequence: int
    timestamp_ms: int
    session_id: UUID
    changes: tuple[MaterialChange, ...] = ()


class Kind(IntEnum):
    """What a datagram is."""

    HELLO = 1
    CHALLENGE = 2
    RESPONSE = 3
    STATE = 4
    ACK = 5
    HEARTBEAT = 6
    RESYNC = 7
    CLOSE = 8
    PATH_CHALLENGE = 9
    PATH_RESPONSE = 10
    LEAVE = 11
    MESSAGE = 12


class CloseReason(IntEnum):
    """Why a connection, or one of its sessions, ended. Those from 128 on are local and never travel."""

    ENDED = 1
    """The session is over and forgotten. Do not reconnect."""

    GOING_AWAY = 2
    """The server is shutting down. Connect again, over HTTP, with backoff."""

    INTERNAL_ERROR = 3
    """The feed broke on the server's side. Connect again with backoff."""

    EXPIRED = 4
    """The bearer token behind the connection ran out. Connect again, over HTTP, with a fresh one."""

    NOT_FOUND = 5
    """There is no such session any more. Do not reconnect."""

    LEFT = 6
    """The client leaves, or has left."""

    REVOKED = 7
    """The right to watch was taken away. Do not reconnect with the same bearer token."""

    SILENT = 128
    """Nothing was heard for three heartbeat intervals. The same session_token may be tried again."""

    UNREACHABLE = 129
    """The handshake was never answered. Connect again over HTTP."""

    REPLACED = 130
    """The client came back with the same session_token and has a new connection."""

    @classmethod
    def of(cls, code: CloseCode) -> CloseReason:
        """What a feed's close code means here."""
        return {CloseCode.NORMAL: cls.ENDED, CloseCode.GOING_AWAY: cls.GOING_AWAY}.get(code, cls.INTERNAL_ERROR)


class Cookie(Struct, frozen=True, gc=False):
    """What the server gives out in a challenge instead of remembering it.

    Attributes:
        issued_us: Unix microseconds.
        server_nonce: 16 bytes.
        seal: 16 bytes only the server can make.
    """

    issued_us: int
    server_nonce: bytes
    seal: bytes


class Hello(Struct, frozen=True, gc=False):
    """A client knocks. `client_nonce` is 16 bytes, new for every attempt."""

    connection_id: int
    client_nonce: bytes


class Challenge(Struct, frozen=True, gc=False):
    """The server asks for proof of the address."""

    connection_id: int
    client_nonce: bytes
    cookie: Cookie


class Response(Struct, frozen=True, gc=False):
    """The client brings the cookie back."""

    connection_id: int
    client_nonce: bytes
    cookie: Cookie


class Heartbeat(Struct, frozen=True, gc=False):
    """A sign of life. All three are Unix microseconds.

    Attributes:
        sent_us: by the sender's clock.
        echoed_us: `sent_us` of the newest heartbeat the sender has received; 0 when there was none.
        received_us: when that one came in, by the sender's clock.
    """

    sent_us: int
    echoed_us: int = 0
    received_us: int = 0


class Fragment(Struct, frozen=True, gc=False):
    """Part of a MESSAGE: records, packed, and cut into at most four.

    Attributes:
        part, last: which one this is, and which one is the last, from 0.
        size: of what was packed, 1–65536 bytes.
        octets: at least one.
    """

    part: int
    last: int
    size: int
    octets: bytes


class ProgressState(Struct, frozen=True, gc=False):
    """The model of a session's progress. A failure's reason travels as `ReasonPart`."""

    version: int
    progress: Progress


class ReasonPart(Struct, frozen=True, gc=False):
    """`octets` at `offset` of the `total` bytes of UTF-8 that say why progress `version` is failed."""

    version: int
    total: int
    offset: int
    octets: bytes


class MaterialsPart(Struct, frozen=True):
    """Rows `first` and on of a table of materials.

    Attributes:
        version: parts of the same version make up one table.
        rows: how many the whole table has.
        problems: how many of its materials have one; those travel as `ProblemsPart`.
        materials: without their problems.
    """

    version: int
    rows: int
    problems: int
    first: int
    materials: tuple[Material, ...]


class Problem(Struct, frozen=True, gc=False):
    """What is wrong with the material in `row` of the table."""

    row: int
    problem: MaterialProblem
    required_quantity: int | None = None
    available_quantity: int | None = None
    required_quality: int | None = None
    available_quality: int | None = None


class ProblemsPart(Struct, frozen=True):
    """Entries `first` and on of the list of problems of the table of the same version."""

    version: int
    first: int
    problems: tuple[Problem, ...]


class RowChange(Struct, frozen=True, gc=False):
    """What is new in one row of a table.

    Attributes:
        quantity: None when it is as before.
        quality: None when it is as before; 0 when it is unknown now.
        problem: UNSET when it is as before; None when there is none now. Its own `row` is that of the change.
    """

    row: int
    quantity: int | None = None
    quality: int | None = None
    problem: Problem | UnsetType | None = UNSET


class MaterialsDelta(Struct, frozen=True):
    """A table, told by how it differs from an earlier one.

    Attributes:
        back: how many versions earlier that one is, 1–255.
        rows: how many it has; the new one has the same.
        changes: by ascending row; 1–255 of them.
    """

    version: int
    back: int
    rows: int
    changes: tuple[RowChange, ...]


class FreshSecret(Struct, frozen=True, gc=False):
    """The secret of a new session_token for the same connection id: 32 bytes, never shown."""

    secret: bytes

    def __repr__(self) -> str:
        return "FreshSecret(…)"


class Selector(Struct, frozen=True, gc=False):
    """The records behind it are of the connection's session number `session`, 0–255."""

    session: int


class SessionOver(Struct, frozen=True, gc=False):
    """The session is over: nothing more is told of it over this connection."""

    reason: CloseReason


StateRecord = (
    ProgressState
    | ReasonPart
    | MaterialsPart
    | ProblemsPart
    | MaterialsDelta
    | FreshSecret
    | Selector
    | SessionOver
    | Position
)
