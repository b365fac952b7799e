"""The client's copies of the sessions of one connection, assembled from STATEs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from craftnet.contract.position import Position, covers_materials
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import MaterialsState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.state_records import MaterialsAssembler, ProgressAssembler
from craftnet.protocols.wire.records import (
    CloseReason,
    FreshSecret,
    MaterialsDelta,
    MaterialsPart,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    Selector,
    SessionName,
    SessionOver,
    StateRecord,
)

_NAMELESS = UUID(int=0)


class ProgressChanged(Struct, frozen=True):
    """A session's progress. Its anchor is on the server's clock: see `ClientConnection.server_time`.

    Attributes:
        at: the feed's position with everything held; None when unknown.
    """

    session_id: UUID
    version: int
    progress: Progress
    at: Position | None = None


class MaterialsChanged(Struct, frozen=True):
    """All of a session's materials; `at` as in `ProgressChanged`."""

    materials: MaterialsState
    at: Position | None = None


class SessionEnded(Struct, frozen=True):
    """The session ended; the connection goes on with others."""

    session_id: UUID
    reason: CloseReason


class SessionAdded(Struct, frozen=True):
    """The server has added a session of the player to the connection under this index."""

    session_id: UUID
    index: int


SessionNews = ProgressChanged | MaterialsChanged | SessionEnded | SessionAdded


class ReceivedSession:
    """One session.

    Attributes:
        session_id: None while the server sends it before …/connect has named it.
        over: why it ended; None while it has not.
        progress, materials: assemble the records.
    """

    __slots__ = ("_at", "_at_sequence", "_reported", "materials", "over", "progress", "session_id")

    def __init__(self, session_id: UUID | None) -> None:
        self.session_id = session_id
        self.over: CloseReason | None = None
        self.progress = ProgressAssembler()
        self.materials = MaterialsAssembler(session_id or _NAMELESS)
        self._at: Position | None = None
        self._at_sequence = 0
        self._reported: tuple[ProgressChanged | None, MaterialsState | None, CloseReason | None] = (None, None, None)

    def apply(self, record: StateRecord, sequence: int) -> None:
        """Applies a record of this session from datagram `sequence`.

        Raises:
            BadDatagram: a delta without its baseline; only a full table helps now.
        """
        if self.over is not None:
            return
        match record:
            case ProgressState() | ReasonPart():
                self.progress.apply(record, sequence)
            case MaterialsPart() | ProblemsPart() | MaterialsDelta():
                self.materials.apply(record, sequence)
            case Position():
                if sequence > self._at_sequence:
                    self._at_sequence, self._at = sequence, record
            case SessionOver(reason):
                self.over = reason
            case _:
                pass  # of no session.

    @property
    def position(self) -> Position | None:
        """The feed's position with what is held; None while the table of that position is missing."""
        if self._at is None or not covers_materials(self._at.version, self.materials.version):
            return None
        return self._at

    def forget_reported(self) -> None:
        """Makes everything news again."""
        self._reported = (None, None, None)

    def news(self) -> list[SessionNews]:
        """The changes since the last call. Empty while the session has no name."""
        if self.session_id is None:
            return []
        news: list[SessionNews] = []
        reported_progress, reported_materials, reported_over = self._reported
        progress, materials = self.progress.progress, self.materials.materials
        if progress is not None:
            changed = ProgressChanged(self.session_id, self.progress.version, progress)
            if changed != reported_progress:
                news.append(replace(changed, at=self.position))
                reported_progress = changed
        if materials is not None and materials != reported_materials:
            reported_materials = materials
            if materials.session_id != self.session_id:  # assembled before the session had a name.
                materials = replace(materials, session_id=self.session_id)
            news.append(MaterialsChanged(materials, self.position))
        if self.over is not reported_over and self.over is not None:
            news.append(SessionEnded(self.session_id, self.over))
            reported_over = self.over
        self._reported = (reported_progress, reported_materials, reported_over)
        return news


class ReceivedState:
    """All sessions of a connection.

    Arguments:
        sessions: the known ones, by index.
    """

    def __init__(self, sessions: Mapping[int, UUID]) -> None:
        self._copies = {index: ReceivedSession(session_id) for index, session_id in sessions.items()}
        self._unreported: set[int] = set()
        self._nameless: set[int] = set()
        self._added: set[int] = set()  # named by the server, and by nothing else since.

    @property
    def nameless(self) -> list[int]:
        """The sessions that the server sends and nothing has named."""
        return [index for index in self._nameless if self._copies[index].over is None]

    @property
    def over(self) -> list[int]:
        """The sessions that have ended."""
        return [index for index, copy in self._copies.items() if copy.over is not None]

    @property
    def sessions(self) -> dict[int, UUID]:
        """The named sessions that have not ended."""
        return {
            index: copy.session_id
            for index, copy in self._copies.items()
            if copy.session_id is not None and copy.over is None
        }

    def get(self, index: int) -> ReceivedSession | None:
        """The session with that index, if it was ever mentioned."""
        return self._copies.get(index)

    def name(self, index: int, session_id: UUID) -> list[SessionNews]:
        """Names the session of that index. What was received of it already becomes news; of a session that the server
        has added, once more.
        """
        self._nameless.discard(index)
        copy = self._copies.setdefault(index, ReceivedSession(session_id))
        copy.session_id = session_id
        if index in self._added:
            self._added.discard(index)
            copy.forget_reported()
        return copy.news()

    def apply(self, records: Sequence[StateRecord], sequence: int) -> tuple[list[SessionNews], list[BadDatagram]]:
        """Applies all records of a STATE, then reports what changed, and what was unusable.

        Returns:
            The news, and the faults: deltas without a baseline.
        """
        touched, faults, joined = dict[int, ReceivedSession](), list[BadDatagram](), list[SessionNews]()
        index = 0
        for record in records:
            if isinstance(record, Selector):
                index = record.session
                continue
            if isinstance(record, FreshSecret):
                continue
            copy = self._copies.get(index)
            if copy is None:
                copy = self._copies[index] = ReceivedSession(None)
                self._nameless.add(index)
            touched[index] = copy
            if isinstance(record, SessionName):
                if copy.session_id is None and copy.over is None:
                    copy.session_id = record.session_id
                    self._nameless.discard(index)
                    self._added.add(index)
                    joined.append(SessionAdded(record.session_id, index))
                continue
            try:
                copy.apply(record, sequence)
            except BadDatagram as error:
                faults.append(error)
            if isinstance(record, MaterialsPart | ProblemsPart | MaterialsDelta) and copy.over is None:
                self._unreported.add(index)
        return [*joined, *(news for copy in touched.values() for news in copy.news())], faults

    @property
    def reported(self) -> bool:
        """Whether the server knows of every table received lately."""
        return not self._unreported

    def report(self) -> dict[int, int]:
        """The tables to name in an ACK: by session, the version of its table."""
        held = {index: copy.materials.version for index in (0, *self._unreported) if (copy := self._copies.get(index))}
        self._unreported = set()
        return held
