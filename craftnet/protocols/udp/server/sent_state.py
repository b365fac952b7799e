"""One client's copy of one session, seen from the server: what was told of it, what is known to have arrived. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet.contract.position import Position
from craftnet.crafting.progress import Tolerance, misleads
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.protocols.udp.core.state_records import encoded, encoded_progress, materials_records
from craftnet.protocols.udp.core.table_delta import TableHistory, table_delta
from craftnet.protocols.udp.server.tickets import SessionPermit

MAX_SENT_PROGRESS = 4
"""How many of the last models told are kept at most, to judge by them what the player claims to have seen."""

SENT_PROGRESS_SECONDS = 5.0
"""Seconds after which a model told matters no longer if a newer one is as old: a claim is of the last two seconds, and
what it is about was half a round trip under way."""

SAME_FUNCTION = Tolerance(percent=0.01, seconds=0.002, fraction=0.0)
"""What differs less is the same function of time: it need not be told again."""


class SentProgress(Struct, frozen=True, gc=False):
    """At `when` (Unix seconds) the client was told `state`."""

    when: float
    state: SessionState


class TopicRecords(Struct, frozen=True, gc=False):
    """The records to tell of a topic instead of all earlier ones of it."""

    topic: str
    records: Sequence[bytes]


class SentState(Struct, eq=False, gc=False):
    """What one client was told of one session.

    Arguments:
        room: bytes that its longest record may take.

    Attributes:
        permit: which session it is, and how long the client may watch it.
        progress: the last state told; None before the first.
        tables: of the materials, what was told and acknowledged; None before anything was told.
        at: the last position of the feed; None before the first.
    """

    permit: SessionPermit
    _room: int
    _sent: tuple[Any, ...] = ()  # when and what, in turn: objects of a pair each would take more room.
    progress: SessionState | None = None
    _materials: MaterialsState | None = None
    tables: TableHistory | None = None
    at: Position | None = None

    @property
    def index(self) -> int:
        """How datagrams name the session."""
        return self.permit.index

    @property
    def session_id(self) -> UUID:
        """The session."""
        return self.permit.session_id

    @property
    def over(self) -> bool:
        """Whether nothing more is told of it."""
        return self.permit.over is not None

    def advance(self, state: SessionState | MaterialsState, now: float) -> TopicRecords | None:
        """The session, or its materials, are now like this: what to tell of it; None when the client knows.

        Raises:
            BadDatagram: it does not fit the protocol.
        """
        if isinstance(state, MaterialsState):
            return self._advance_materials(state)
        held, truth = self.progress, state.progress
        # A client that goes on from what it holds shows what it would from this, now and to the end.
        if held is not None and not misleads(held.progress, truth, now, now + (truth.remaining or 0.0), SAME_FUNCTION):
            return None
        news = TopicRecords("progress", encoded_progress(state, self._room))
        self.note(state, now)
        return news

    def note(self, state: SessionState, now: float) -> None:
        """The client is told this progress."""
        self.progress = state
        sent = self._sent
        if len(sent) == 2 * MAX_SENT_PROGRESS:
            sent = sent[2:]
        while len(sent) > 2 and sent[2] <= now - SENT_PROGRESS_SECONDS:
            sent = sent[2:]
        self._sent = (*sent, now, state)

    @property
    def sightings(self) -> Sequence[SentProgress]:
        """The last models told, newest last."""
        return [SentProgress(when, state) for when, state in zip(self._sent[::2], self._sent[1::2], strict=True)]

    def reached(self, at: Position, state: SessionState | MaterialsState) -> TopicRecords | None:
        """With this state the feed is there: what to tell of that.

        It goes with the first state and with every table. Mere progress needs none: who comes back is told the newest,
        however old their position is.
        """
        before, self.at = self.at, at
        if before is not None and isinstance(state, SessionState):
            return None
        return TopicRecords("position", encoded([at]))

    def everything(self) -> Iterator[TopicRecords]:
        """All of it, whatever the client may hold."""
        if self.progress is not None:
            yield TopicRecords("progress", encoded_progress(self.progress, self._room))
        if self._materials is not None:
            yield TopicRecords("materials", encoded(materials_records(self._materials, self._room)))
        if self.at is not None:
            yield TopicRecords("position", encoded([self.at]))

    def acknowledged_version(self, version: int) -> bool:
        """Whether a table of that version (its low 32 bits; 0: none) can have been told."""
        newest = self._materials
        return not version or (newest is not None and (newest.version - version) & 0xFFFFFFFF < 1 << 31)

    def holds(self, version: int) -> None:
        """The client has the table of that version, which was told: differences from it will do."""
        if version and self.tables is not None:
            self.tables.acknowledged(version)

    def _advance_materials(self, state: MaterialsState) -> TopicRecords:
        """By the differences from what the client is known to hold, where that is shorter and fits."""
        records = encoded(materials_records(state, self._room))
        if self.tables is None:
            self.tables = TableHistory()
        base = self.tables.baseline
        delta = None if base is None else table_delta(base, state)
        if delta is not None:
            (octets,) = encoded([delta])
            if len(octets) <= min(self._room, sum(map(len, records))):
                records = [octets]
        self._materials = state
        self.tables.add(state)
        return TopicRecords("materials", records)
