"""The messages of the relay feed, `/ws/relay`, by which an edge follows the state of its core. Pure.

An edge sends lists of requests as JSON. The core answers with one message per frame. Requests and messages are arrays
that begin with their type, since field names would take half of the bytes. Both ends run the same version of this
protocol (`PROTOCOL`); it is not part of the contract with players. Times are on the core's steady clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from craftnet.access.revocation.revocations import Revocation
from craftnet.contract.devices import DeviceMessage, DeviceReport
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Expectation, Progress
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.crafting.updates import KeyedUpdate

Stated = TypeVar("Stated")

PROTOCOL = 1
"""The version of these messages. An edge refuses a core of another version."""

MAX_REQUESTS = 64
"""Maximum number of requests per frame, which keeps a frame far below the core's limit for client messages."""


class Subject(StrEnum):
    """What an edge may follow."""

    SESSION = "session"
    """A session with its materials; the key is the session's id."""
    QUEUE = "queue"
    """A player's places in queues; the key is the player's id."""
    PLAYER = "player"
    """A player's sessions; the key is the player's id."""


# Requests


class Follow(Struct, frozen=True, array_like=True, tag="follow"):
    """Asks for a state and for its later changes. A repeated request asks for the state again.

    `expected`: together with how long a session is expected to take, if the core forecasts that.
    """

    subject: Subject
    key: UUID
    expected: bool = False


class Unfollow(Struct, frozen=True, array_like=True, tag="unfollow"):
    """Ends following a subject."""

    subject: Subject
    key: UUID


class Find(Struct, frozen=True, array_like=True, tag="find"):
    """Asks for the queue entry that names a session."""

    id: int
    session_id: UUID


class CatchUp(Struct, frozen=True, array_like=True, tag="catch_up"):
    """Asks for an answer once the core has sent every change that its own subscribers may have received."""

    id: int
    subject: Subject
    key: UUID


class Recall(Struct, frozen=True, array_like=True, tag="recall"):
    """Asks for the changes after a version, of a session's materials or of a player's queue entries."""

    id: int
    subject: Subject
    key: UUID
    version: int


class ReadClock(Struct, frozen=True, array_like=True, tag="clock"):
    """Asks for the time on the core's clock. `asked` is the edge's time, returned unchanged."""

    asked: float


class DeviceConnected(Struct, frozen=True, array_like=True, tag="device"):
    """Registers a connection of the edge as a device of a player. `connection` is the edge's number for it."""

    connection: int
    player_id: UUID
    name: str


class DeviceDisconnected(Struct, frozen=True, array_like=True, tag="device_left"):
    """The connection of a device is closed."""

    connection: int


class DeviceReported(Struct, frozen=True, array_like=True, tag="device_report"):
    """A device has seen or dismissed a message that the edge has sent it."""

    connection: int
    report: DeviceReport


Request = (
    Follow | Unfollow | Find | CatchUp | Recall | ReadClock | DeviceConnected | DeviceDisconnected | DeviceReported
)

# What the core sends


class RelayHello(Struct, frozen=True, array_like=True, tag="hello"):
    """The first message.

    `epoch` is the epoch of the core's positions. `devices`: the core has devices; an edge sends requests about devices
    to such a core only.
    """

    protocol: int
    epoch: str
    devices: bool = False


class EpochChanged(Struct, frozen=True, array_like=True, tag="epoch"):
    """Later versions belong to another epoch."""

    epoch: str


class ClockShown(Struct, frozen=True, array_like=True, tag="clock"):
    """The answer to `ReadClock`. `stalled` says why the core itself receives no changes now; otherwise empty."""

    asked: float
    shown: float
    stalled: str = ""


class Followed(Struct, frozen=True, array_like=True, tag="followed"):
    """The answer to `Follow`: the current state. Only the fields of the subject are set."""

    subject: Subject
    key: UUID
    session: SessionState | None = None
    materials: MaterialsState | None = None
    queue: QueueState | None = None
    sessions: tuple[UUID, ...] = ()
    expected: Expectation | None = None


class FollowRefused(Struct, frozen=True, array_like=True, tag="follow_refused"):
    """The subject does not exist, or cannot be followed now. `status` is the HTTP status of such a refusal."""

    subject: Subject
    key: UUID
    status: int
    message: str


class RelayedSession(Struct, frozen=True, array_like=True, tag="session"):
    """The full state of a session, or None after it ended and was removed."""

    session_id: UUID
    state: SessionState | None = None
    expected: Expectation | None = None


class RelayedProgress(Struct, frozen=True, array_like=True, tag="progress"):
    """A session's new state without its constant fields; the fields are those of `Progress` and `SessionState`."""

    session_id: UUID
    version: int
    status: Status
    percent: float
    anchor: float
    remaining: float | None
    accepted: float
    quality: int | None = None
    target_quality: int | None = None
    failure_reason: str | None = None
    trace: str = ""

    @classmethod
    def of(cls, state: SessionState, expected: Expectation | None = None) -> RelayedProgress:
        """The message for a state. Percentages and seconds keep six decimals."""
        progress, remaining = state.progress, state.progress.remaining
        fields = (
            state.session_id,
            state.version,
            progress.status,
            round(progress.percent, 6),
            round(progress.anchor, 6),
            None if remaining is None else round(remaining, 6),
            round(state.accepted, 6),
            progress.quality,
            progress.target_quality,
            progress.failure_reason,
            state.trace or "",
        )
        if expected is None:
            return RelayedProgress(*fields)
        return RelayedForecast(*fields, Expectation(round(expected.p50, 6), round(expected.p90, 6)))

    def after(self, state: SessionState, ahead: float) -> SessionState:
        """The state that follows `state`, on a clock that is `ahead` seconds behind the core's."""
        progress = Progress(
            self.status,
            self.percent,
            self.anchor - ahead,
            self.remaining,
            self.quality,
            self.target_quality,
            self.failure_reason,
        )
        accepted = self.accepted and self.accepted - ahead
        return replace(state, version=self.version, progress=progress, accepted=accepted, trace=self.trace or UNSET)


class RelayedForecast(RelayedProgress, frozen=True, array_like=True, tag="forecast"):
    """A session's new state together with how long the craft is expected to take from its anchor on."""

    expected: Expectation | None = None


class RelayedMaterials(Struct, frozen=True, array_like=True, tag="materials"):
    """A change of a session's materials."""

    change: MaterialsChange


class RelayedQueue(Struct, frozen=True, array_like=True, tag="queue"):
    """A change of a player's queue entries."""

    change: QueueChange


class RelayedReset(Struct, frozen=True, array_like=True, tag="queue_reset"):
    """A player's queue entries, unchanged, under a version that replaces the previous ones."""

    state: QueueState


class SessionStarted(Struct, frozen=True, array_like=True, tag="started"):
    """A session of a followed player has started."""

    player_id: UUID
    session_id: UUID


class RelayAnswer(Struct, frozen=True, array_like=True, tag="answer"):
    """The answer to `Find`, `CatchUp` or `Recall`."""

    id: int
    entry: QueueEntry | None = None
    materials: tuple[MaterialsChange, ...] = ()
    queue: tuple[QueueChange, ...] = ()


class Refused(Struct, frozen=True, array_like=True, tag="refused"):
    """The request with this id cannot be answered. `status` is the HTTP status of such a refusal."""

    id: int
    status: int
    message: str


class RelayedDevices(Struct, frozen=True, array_like=True, tag="devices"):
    """A message for the devices of a player.

    `connection` is the only connection that it is for: a refusal, or the first message that a device receives. None:
    all connections of the player's devices that have received their first message.
    """

    player_id: UUID
    message: DeviceMessage
    connection: int | None = None


class Revoked(Struct, frozen=True, array_like=True, tag="revoked"):
    """Revocations in force. `complete`: the edge now has all of them."""

    revocations: tuple[Revocation, ...]
    complete: bool


RelayMessage = (
    RelayHello
    | EpochChanged
    | ClockShown
    | Followed
    | FollowRefused
    | RelayedSession
    | RelayedProgress
    | RelayedForecast
    | RelayedMaterials
    | RelayedQueue
    | RelayedReset
    | SessionStarted
    | RelayAnswer
    | Refused
    | RelayedDevices
    | Revoked
)

read_requests = msgspec.json.Decoder(list[Request]).decode
"""Decodes a frame of requests; raises one of `craftnet.contract.messages.MALFORMED`."""

read_message: msgspec.json.Decoder[RelayMessage] = msgspec.json.Decoder(RelayMessage)
"""Decodes a message of the core."""


def bare(value: Stated) -> Stated:
    """Removes what edges do not use of a state, change or entry: the stamps that order events, a craft's timing."""
    match value:
        case MaterialsChange() | QueueChange():
            value = replace(value, state=bare(value.state))
            if isinstance(value, QueueChange):
                value = replace(value, entry=bare(value.entry))
        case QueueState():
            value = replace(value, stamps=(), entries=tuple(map(bare, value.entries)))
        case SessionState():
            value = replace(value, stamps=(), timing=UNSET)
        case MaterialsState() | QueueEntry():
            value = replace(value, stamps=())
    return value


def relay_update(message: RelayMessage) -> KeyedUpdate:
    """The update that carries a message. Only a session's progress may be replaced by a newer one."""
    accepted, key = None, None
    match message:
        case RelayedProgress():
            accepted = message.accepted or None
            key = None if message.status.terminal else message.session_id
        case RelayedMaterials(change=change) | RelayedQueue(change=change):
            accepted = change.accepted or None
    return KeyedUpdate(
        state=None,
        messages=(message,),  # type: ignore[arg-type]  # the feed's own kind of message.
        accepted=accepted,
        conflatable=key is not None,
        key=key,
    )
