"""One client's copy of one session, seen from the server: what was told of it, what is known to have arrived. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from craftnet.errors import BadDatagram
from craftnet.model import Tolerance, diverges
from craftnet.protocols.delta import Tables, difference
from craftnet.protocols.snapshots import encoded, materials_records, progress_records
from craftnet.state import MaterialsState, SessionState

SIGHTINGS = 4
"""How many of the last models told are kept, to judge by them what the player claims to have seen."""

SAME = Tolerance(percent=0.01, seconds=0.002, fraction=0.0)
"""What differs less is the same function of time: it need not be told again."""


class Sighting(NamedTuple):
    """At `when` (Unix seconds) the client was told `state`."""

    when: float
    state: SessionState


class News(NamedTuple):
    """The records to tell of a topic instead of all earlier ones of it."""

    topic: str
    records: Sequence[bytes]


class Replica:
    """What one client was told of one session.

    Arguments:
        index: which of the connection's sessions it is.
        room: bytes that its longest record may take.

    Attributes:
        sightings: the last models told, newest last.
    """

    __slots__ = ("_materials", "_progress", "_room", "_tables", "index", "session_id", "sightings")

    def __init__(self, index: int, session_id: UUID, room: int) -> None:
        self.index = index
        self.session_id = session_id
        self.sightings: tuple[Sighting, ...] = ()
        self._room = room
        self._progress: SessionState | None = None
        self._materials: MaterialsState | None = None
        self._tables: Tables | None = None

    def advance(self, state: SessionState | MaterialsState, now: float) -> News | None:
        """The session, or its materials, are now like this: what to tell of it; None when the client knows.

        Raises:
            BadDatagram: it does not fit the protocol.
        """
        if isinstance(state, MaterialsState):
            return self._advance_materials(state)
        if self._progress is not None and _same(self._progress, state, now):
            return None
        news = News("progress", encoded(progress_records(state, self._room)))
        self._progress = state
        self.sightings = (*self.sightings[1 - SIGHTINGS :], Sighting(now, state))
        return news

    def everything(self) -> Iterator[News]:
        """All of it, whatever the client may hold."""
        if self._progress is not None:
            yield News("progress", encoded(progress_records(self._progress, self._room)))
        if self._materials is not None:
            yield News("materials", encoded(materials_records(self._materials, self._room)))

    def holds(self, version: int) -> None:
        """The client has the table of that version (its low 32 bits; 0: none): differences from it will do.

        Raises:
            BadDatagram: there was never such a table.
        """
        if not version:
            return
        newest = self._materials
        if newest is None or (newest.version - version) & 0xFFFFFFFF >= 1 << 31:
            raise BadDatagram("out_of_range", "an acknowledgement of a table that was never told")
        if self._tables is not None:
            self._tables.acknowledged(version)

    def _advance_materials(self, state: MaterialsState) -> News:
        """By the differences from what the client is known to hold, where that is shorter and fits."""
        records = encoded(materials_records(state, self._room))
        if self._tables is None:
            self._tables = Tables()
        base = self._tables.baseline
        delta = None if base is None else difference(base, state)
        if delta is not None:
            (octets,) = encoded([delta])
            if len(octets) <= min(self._room, sum(map(len, records))):
                records = [octets]
        self._materials = state
        self._tables.add(state)
        return News("materials", records)


def _same(held: SessionState, truth: SessionState, now: float) -> bool:
    """Whether a client that goes on from `held` shows what it would from `truth`, now and to the end."""
    until = now + (truth.progress.remaining or 0.0)
    return not any(diverges(held.progress, truth.progress, at, SAME) for at in (now, until))
