"""The relay feed, `/ws/relay`, by which an edge follows the state of its core: the messages of both ends. Pure.

An edge sends arrays of requests as JSON. The core answers with one message a frame. Both ends run the same version of
this protocol (`PROTOCOL`); it is not part of the contract with players. Times are on the core's steady clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.access.revocation.revocations import Revocation
from craftnet.contract.messages import Status
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.crafting.updates import Update

PROTOCOL = 1
"""The version of these messages. An edge refuses a core that names another one."""

MAX_REQUESTS = 64
"""Requests in one frame, which is then far shorter than the core's limit for a client's message."""


class Subject(StrEnum):
    """What an edge may follow."""

    SESSION = "session"
    """A session with its materials; the key is the session's id."""
    QUEUE = "queue"
    """A player's places in queues; the key is the player's id."""
    PLAYER = "player"
    """A player's sessions; the key is the player's id."""


# Requests


class Follow(Struct, frozen=True, tag="follow"):
    """Asks for a state and for its changes from then on. Sent again, it asks for the state again."""

    subject: Subject
    key: UUID


class Unfollow(Struct, frozen=True, tag="unfollow"):
    """Ends a watch."""

    subject: Subject
    key: UUID


class Find(Struct, frozen=True, tag="find"):
    """Asks for the queue entry that names a session."""

    id: int
    session_id: UUID


class CatchUp(Struct, frozen=True, tag="catch_up"):
    """Asks for an answer once the core has sent every change that any of its subscribers may have received."""

    id: int
    subject: Subject
    key: UUID


class Recall(Struct, frozen=True, tag="recall"):
    """Asks for the changes after a version: of a session's materials, or of a player's queue entries."""

    id: int
    subject: Subject
    key: UUID
    version: int


class ReadClock(Struct, frozen=True, tag="clock"):
    """Asks what the core's clock shows; `asked` is the edge's own time and comes back unchanged."""

    asked: float


Request = Follow | Unfollow | Find | CatchUp | Recall | ReadClock

# What the core sends


class RelayHello(Struct, frozen=True, tag="hello"):
    """The first message. `epoch` is that of the core's positions."""

    protocol: int
    epoch: str


class EpochChanged(Struct, frozen=True, tag="epoch"):
    """The versions that follow belong to another epoch."""

    epoch: str


class ClockShown(Struct, frozen=True, tag="clock", omit_defaults=True):
    """The answer to `ReadClock`. `stalled` says why the core itself receives no changes now, or is empty."""

    asked: float
    shown: float
    stalled: str = ""


class Followed(Struct, frozen=True, tag="followed", omit_defaults=True):
    """The answer to `Follow`: the present state. Only the fields of the subject are set."""

    subject: Subject
    key: UUID
    session: SessionState | None = None
    materials: MaterialsState | None = None
    queue: QueueState | None = None
    sessions: tuple[UUID, ...] = ()


class FollowRefused(Struct, frozen=True, tag="follow_refused"):
    """There is nothing to watch, or it cannot be watched now. `status` is the HTTP status of such a refusal."""

    subject: Subject
    key: UUID
    status: int
    message: str


class RelayedSession(Struct, frozen=True, tag="session", omit_defaults=True):
    """A session's new state; None: it ended and was removed."""

    session_id: UUID
    state: SessionState | None = None


class RelayedMaterials(Struct, frozen=True, tag="materials"):
    """A change of a session's materials."""

    change: MaterialsChange


class RelayedQueue(Struct, frozen=True, tag="queue"):
    """A change of a player's queue entries."""

    change: QueueChange


class RelayedReset(Struct, frozen=True, tag="queue_reset"):
    """A player's queue entries, unchanged, with a version that replaces the previous ones."""

    state: QueueState


class SessionStarted(Struct, frozen=True, tag="started"):
    """A session of a watched player has started."""

    player_id: UUID
    session_id: UUID


class RelayAnswer(Struct, frozen=True, tag="answer", omit_defaults=True):
    """The answer to `Find`, `CatchUp` or `Recall`."""

    id: int
    entry: QueueEntry | None = None
    materials: tuple[MaterialsChange, ...] = ()
    queue: tuple[QueueChange, ...] = ()


class Refused(Struct, frozen=True, tag="refused"):
    """The request with this id cannot be answered. `status` is the HTTP status of such a refusal."""

    id: int
    status: int
    message: str


class Revoked(Struct, frozen=True, tag="revoked"):
    """Revocations in force. `complete`: the edge knows all of them now."""

    revocations: tuple[Revocation, ...]
    complete: bool


RelayMessage = (
    RelayHello
    | EpochChanged
    | ClockShown
    | Followed
    | FollowRefused
    | RelayedSession
    | RelayedMaterials
    | RelayedQueue
    | RelayedReset
    | SessionStarted
    | RelayAnswer
    | Refused
    | Revoked
)

read_requests = msgspec.json.Decoder(list[Request]).decode
"""The requests of a frame; raises one of `craftnet.contract.messages.MALFORMED`."""

read_message: msgspec.json.Decoder[RelayMessage] = msgspec.json.Decoder(RelayMessage)
"""Reads a message of the core."""


class RelayUpdate(Update, eq=False, gc=False, kw_only=True):
    """A message as an `Update`, so that a connection delivers it.

    Attributes:
        key: the session whose newer state replaces this one while the edge does not read.
    """

    key: Hashable = None

    @property
    def conflation_key(self) -> Hashable:
        """As in `Update`."""
        return self.key


def relay_update(message: RelayMessage) -> RelayUpdate:
    """The update that carries a message. Only the progress of a session may be replaced by a newer one."""
    accepted, key = None, None
    match message:
        case RelayedSession(state=SessionState() as state):
            accepted = state.accepted or None
            key = state.session_id if state.progress.status is Status.ACTIVE else None
        case RelayedMaterials(change=change) | RelayedQueue(change=change):
            accepted = change.accepted or None
    return RelayUpdate(
        state=None,
        messages=(message,),  # type: ignore[arg-type]  # the feed's own kind of message.
        accepted=accepted,
        conflatable=key is not None,
        key=key,
    )
