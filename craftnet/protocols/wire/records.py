"""The values in datagrams and in the HTTP interface's binary bodies."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import MaterialChange, MaterialProblem, Natural, Quality
from craftnet.contract.position import Position
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material


class ProgressFlags(IntFlag):
    """The flags of a progress record; none of them: active."""

    PAUSED = 1
    INTERRUPTED = 2
    COMPLETED = 4
    FAILED = 8


class ProgressRecord(Struct, frozen=True, gc=False):
    """UdpProgressUpdate: a client's report.

    Attributes:
        sequence: 0 to 2³²−1.
        timestamp_ms: Unix milliseconds.
        percent: 0 to 100, sent in hundredths.
        remaining: seconds, sent in milliseconds; None when unknown.
        quality, target_quality: 1 to 100, or None.
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
    """UdpMaterialUpdate: the changes that a client reports, at most 200."""

    sequence: int
    timestamp_ms: int
    session_id: UUID
    changes: tuple[MaterialChange, ...] = ()


class UdpPacketHeader(Struct, frozen=True, kw_only=True):
    """The header of a client's report. On the wire it has 32 bytes, aligned to 16, big-endian (PROTOCOL.md)."""

    session_id: UUID
    """The crafting session."""
    timestamp: Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
    """When the report was made, Unix milliseconds on the client's clock."""
    sequence_number: Natural
    """Grows with every report of the client."""
    packet_type: Annotated[int, Meta(ge=0, le=255)]
    """1: UdpProgressUpdate, 2: UdpMaterialUpdate."""


class CompressedProgressData(Struct, frozen=True, kw_only=True):
    """The content of a report of progress. On the wire it has 16 bytes after the header's 32 (PROTOCOL.md)."""

    session_id: UUID
    """The crafting session, as in the header, where alone it travels."""
    remaining_time: Annotated[float, Meta(ge=0, le=(2**32 - 2) / 1000)] | None = None
    """Seconds until the craft is at 100 %, in milliseconds on the wire; absent when unknown."""
    progress_percentage: Annotated[float, Meta(ge=0, le=100)]
    """Share of the craft that is done, in percent, in hundredths on the wire."""
    quality_current: Quality | None = None
    """Quality reached so far; absent when unknown."""
    quality_target: Quality | None = None
    """Quality that the craft aims at; absent when unknown."""
    flags: Annotated[int, Meta(ge=0, le=15)] = 0
    """Bits: 1 paused, 2 interrupted, 4 completed, 8 failed; none: active."""


class UdpProgressUpdate(Struct, frozen=True, kw_only=True):
    """A client's report of progress, 48 bytes on the wire (PROTOCOL.md), never JSON."""

    packet_header: UdpPacketHeader
    """The header."""
    progress_data: CompressedProgressData
    """What the client holds."""


class UdpMaterialUpdate(Struct, frozen=True, kw_only=True):
    """A client's report of materials, 32 bytes and 24 for each change on the wire (PROTOCOL.md), never JSON."""

    packet_header: UdpPacketHeader
    """The header."""
    material_changes: Annotated[tuple[MaterialChange, ...], Meta(max_length=200)] = ()
    """The changes, in order."""


class DatagramKind(IntEnum):
    """The kind of a datagram."""

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
    """Why a connection, or one of its sessions, ended. Reasons from 128 on are local and never sent."""

    ENDED = 1
    """The session ended and was removed. Do not reconnect."""

    GOING_AWAY = 2
    """The server is shutting down. Connect again, over HTTP, with backoff."""

    INTERNAL_ERROR = 3
    """The feed failed on the server's side. Connect again with backoff."""

    EXPIRED = 4
    """The bearer token behind the connection expired. Connect again, over HTTP, with a fresh one."""

    NOT_FOUND = 5
    """The session no longer exists. Do not reconnect."""

    LEFT = 6
    """The client leaves, or has left."""

    REVOKED = 7
    """The right to watch was revoked. Do not reconnect with the same bearer token."""

    SILENT = 128
    """Nothing arrived for three heartbeat intervals. The same session_token may be tried again."""

    UNREACHABLE = 129
    """The handshake was not answered. Connect again over HTTP."""

    REPLACED = 130
    """The client opened a new connection with the same session_token."""

    @classmethod
    def of(cls, code: CloseCode) -> CloseReason:
        """The reason for a feed's close code."""
        return {CloseCode.NORMAL: cls.ENDED, CloseCode.GOING_AWAY: cls.GOING_AWAY}.get(code, cls.INTERNAL_ERROR)


class Cookie(Struct, frozen=True, gc=False):
    """What the server sends in a challenge instead of remembering it.

    Attributes:
        issued_us: Unix microseconds.
        server_nonce: 16 bytes.
        seal: 16 bytes that only the server can compute.
    """

    issued_us: int
    server_nonce: bytes
    seal: bytes


class Hello(Struct, frozen=True, gc=False):
    """The first datagram of a client. `client_nonce` is 16 bytes, new for every attempt."""

    connection_id: int
    client_nonce: bytes


class Challenge(Struct, frozen=True, gc=False):
    """The server asks for a proof of the address."""

    connection_id: int
    client_nonce: bytes
    cookie: Cookie


class ChallengeResponse(Struct, frozen=True, gc=False):
    """The client returns the cookie."""

    connection_id: int
    client_nonce: bytes
    cookie: Cookie


class HeartbeatBody(Struct, frozen=True, gc=False):
    """A heartbeat. All times are Unix microseconds.

    Attributes:
        sent_us: by the sender's clock.
        echoed_us: `sent_us` of the newest heartbeat that the sender received; 0 when there was none.
        received_us: when that one arrived, by the sender's clock.
    """

    sent_us: int
    echoed_us: int = 0
    received_us: int = 0


class Fragment(Struct, frozen=True, gc=False):
    """A part of a MESSAGE: records, compressed, and split into at most four.

    Attributes:
        part, last: the number of this part, and that of the last one, from 0.
        size: of the uncompressed content, 1 to 65536 bytes.
        octets: at least one.
    """

    part: int
    last: int
    size: int
    octets: bytes


class ProgressState(Struct, frozen=True, gc=False):
    """The model of a session's progress. `ReasonPart` carries the reason of a failure."""

    version: int
    progress: Progress


class ReasonPart(Struct, frozen=True, gc=False):
    """`octets` at `offset` of the `total` bytes of UTF-8 of the reason why progress `version` failed."""

    version: int
    total: int
    offset: int
    octets: bytes


class MaterialsPart(Struct, frozen=True):
    """Rows of a table of materials, from `first` on.

    Attributes:
        version: parts of the same version make up one table.
        rows: the number of rows of the whole table.
        problems: the number of its materials with a problem; those are in `ProblemsPart`.
        materials: without their problems.
    """

    version: int
    rows: int
    problems: int
    first: int
    materials: tuple[Material, ...]


class Problem(Struct, frozen=True, gc=False):
    """The problem of the material in `row` of the table."""

    row: int
    problem: MaterialProblem
    required_quantity: int | None = None
    available_quantity: int | None = None
    required_quality: int | None = None
    available_quality: int | None = None


class ProblemsPart(Struct, frozen=True):
    """Entries of the list of problems of the table with the same version, from `first` on."""

    version: int
    first: int
    problems: tuple[Problem, ...]


class RowChange(Struct, frozen=True, gc=False):
    """The change of one row of a table.

    Attributes:
        quantity: None when unchanged.
        quality: None when unchanged; 0 when it is unknown now.
        problem: UNSET when unchanged; None when there is none now. Its own `row` is that of the change.
    """

    row: int
    quantity: int | None = None
    quality: int | None = None
    problem: Problem | UnsetType | None = UNSET


class MaterialsDelta(Struct, frozen=True):
    """A table as a delta against an earlier one.

    Attributes:
        back: how many versions earlier the baseline is, 1 to 255.
        rows: the number of its rows; the new table has the same.
        changes: by ascending row; 1 to 255 of them.
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
    """The following records belong to the connection's session number `session`, 0 to 255."""

    session: int


class SessionOver(Struct, frozen=True, gc=False):
    """The session ended: the connection carries nothing more of it."""

    reason: CloseReason


class SessionName(Struct, frozen=True, gc=False):
    """The session is this one; the server has added it to the connection by itself."""

    session_id: UUID


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
    | SessionName
)
