"""One client's copy of one session, as the server knows it: what was sent, and what has arrived. Pure."""

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
"""Maximum number of recent models that are kept to compare a player's reports with."""

SENT_PROGRESS_SECONDS = 5.0
"""Seconds after which a sent model no longer matters if a newer one is as old: a report is of the last two seconds, and
what it is about had travelled for half a round trip."""

SAME_FUNCTION = Tolerance(percent=0.01, seconds=0.002, fraction=0.0)
"""Smaller differences are the same function of time, and need not be sent again."""


class SentProgress(Struct, frozen=True, gc=False):
    """The client was sent `state` at `when` (Unix seconds)."""

    when: float
    state: SessionState


class TopicRecords(Struct, frozen=True, gc=False):
    """The records to send of a topic instead of all earlier ones of it."""

    topic: str
    records: Sequence[bytes]


class SentState(Struct, eq=False, gc=False):
    """What one client was sent of one session.

    Arguments:
        room: maximum bytes of a record.

    Attributes:
        permit: the session, and the client's right to watch it.
        progress: the last state sent; None before the first.
        tables: the tables of materials sent and acknowledged; None before the first.
        at: the last position of the feed; None before the first.
    """

    permit: SessionPermit
    _room: int
    _sent: tuple[Any, ...] = ()  # times and states, in turn: an object for each pair would take more room.
    progress: SessionState | None = None
    _materials: MaterialsState | None = None
    tables: TableHistory | None = None
    at: Position | None = None

    @property
    def index(self) -> int:
        """The session's index in datagrams."""
        return self.permit.index

    @property
    def session_id(self) -> UUID:
        """The session."""
        return self.permit.session_id

    @property
    def over(self) -> bool:
        """Whether nothing more of it is sent."""
        return self.permit.over is not None

    def advance(self, state: SessionState | MaterialsState, now: float) -> TopicRecords | None:
        """The topic to send for the new state of the session or its materials; None when the client knows it.

        Raises:
            BadDatagram: the state does not fit the protocol.
        """
        if isinstance(state, MaterialsState):
            return self._advance_materials(state)
        held, truth = self.progress, state.progress
        # A client that extrapolates from its model shows the same as from this one, now and to the end.
        if held is not None and not misleads(held.progress, truth, now, now + (truth.remaining or 0.0), SAME_FUNCTION):
            return None
        news = TopicRecords("progress", encoded_progress(state, self._room))
        self.note(state, now)
        return news

    def note(self, state: SessionState, now: float) -> None:
        """Records that the client is sent this progress."""
        self.progress = state
        sent = self._sent
        if len(sent) == 2 * MAX_SENT_PROGRESS:
            sent = sent[2:]
        while len(sent) > 2 and sent[2] <= now - SENT_PROGRESS_SECONDS:
            sent = sent[2:]
        self._sent = (*sent, now, state)

    @property
    def sightings(self) -> Sequence[SentProgress]:
        """The last models sent, newest last."""
        return [SentProgress(when, state) for when, state in zip(self._sent[::2], self._sent[1::2], strict=True)]

    def reached(self, at: Position, state: SessionState | MaterialsState) -> TopicRecords | None:
        """The topic to send for the feed's position with this state.

        It goes with the first state and with every table. Mere progress needs none: a returning client receives the
        newest, however old its position is.
        """
        before, self.at = self.at, at
        if before is not None and isinstance(state, SessionState):
            return None
        return TopicRecords("position", encoded([at]))

    def everything(self) -> Iterator[TopicRecords]:
        """All topics, whatever the client may hold."""
        if self.progress is not None:
            yield TopicRecords("progress", encoded_progress(self.progress, self._room))
        if self._materials is not None:
            yield TopicRecords("materials", encoded(materials_records(self._materials, self._room)))
        if self.at is not None:
            yield TopicRecords("position", encoded([self.at]))

    def acknowledged_version(self, version: int) -> bool:
        """Whether a table of that version (its low 32 bits; 0: none) can have been sent."""
        newest = self._materials
        return not version or (newest is not None and (newest.version - version) & 0xFFFFFFFF < 1 << 31)

    def holds(self, version: int) -> None:
        """The client has the table of that version, which becomes a baseline."""
        if version and self.tables is not None:
            self.tables.acknowledged(version)

    def _advance_materials(self, state: MaterialsState) -> TopicRecords:
        """The table as a delta against a baseline of the client, where that is shorter and fits."""
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
