"""The sessions of one connection at the server: what was sent of each, and which have ended. Pure.

live ─end()─▶ ended: what is unacknowledged, then the record of the end ─acknowledged─▶ removed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import inf
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet.contract.position import Position
from craftnet.crafting.progress import Tolerance, misleads
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.state_records import encoded, encoded_progress, materials_records
from craftnet.protocols.udp.core.table_delta import TableHistory, table_delta
from craftnet.protocols.udp.core.written_often import written_often
from craftnet.protocols.udp.server.packetizer import Key
from craftnet.protocols.udp.server.send_queue import NEVER, SendQueue
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, SessionName, SessionOver

IMMEDIATE_ENDS = frozenset({CloseReason.REVOKED, CloseReason.LEFT})
"""Ends after which nothing that the client does not know yet is sent."""

_END = "end"
"""The topic of a session's end."""

_NAME = "name"
"""The topic of the name of a session that the server added by itself."""

MAX_SENT_PROGRESS = 4
"""Maximum number of recent models that are kept to compare a player's reports with."""

_MOST_EARLIER = 2 * (MAX_SENT_PROGRESS - 1)

SENT_PROGRESS_SECONDS = 5.0
"""Seconds after which a sent model no longer matters if a newer one is as old: a report is of the last two seconds, and
what it is about had travelled for half a round trip."""

SAME_FUNCTION = Tolerance(percent=0.01, seconds=0.002, fraction=0.0)
"""Smaller differences are the same function of time, and need not be sent again."""


@lru_cache(maxsize=1024)
def shared_report(body: bytes) -> bytes:
    """One object for all clients that report the same: nearly every session has one of a few versions of its table."""
    return body


class SentProgress(Struct, frozen=True, gc=False):
    """The client was sent `state` at `when` (Unix seconds)."""

    when: float
    state: SessionState


class TopicRecords(Struct, frozen=True, gc=False):
    """The records to send of a topic instead of all earlier ones of it."""

    topic: str
    records: Sequence[bytes]


@written_often
class SentState(Struct, eq=False, gc=False):
    """What one client was sent of one session.

    Attributes:
        permit: the session, and the client's right to watch it.
        progress: the last state sent; None before the first.
        tables: the tables of materials sent and acknowledged; None before the first.
        at: the last position of the feed; None before the first.
    """

    permit: SessionPermit
    _agreement: Agreement
    progress: SessionState | None = None
    _sent_at: float = NEVER
    _earlier: tuple[Any, ...] = ()  # times and states, in turn: an object for each pair would take more room.
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

    @property
    def _room(self) -> int:
        """Maximum bytes of a record."""
        return self._agreement.datagram - OVERHEAD - (codec.SELECTOR_SIZE if self.permit.index else 0)

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
        if self.progress is not None:
            earlier = self._earlier
            if len(earlier) == _MOST_EARLIER:
                earlier = earlier[2:]
            earlier += self._sent_at, self.progress
            oldest = now - SENT_PROGRESS_SECONDS
            while len(earlier) > 2 and earlier[2] <= oldest:
                earlier = earlier[2:]
            self._earlier = earlier
        self.progress, self._sent_at = state, now

    @property
    def sightings(self) -> Sequence[SentProgress]:
        """The last models sent, newest last."""
        if self.progress is None:
            return []
        earlier = self._earlier
        pairs = [*zip(earlier[::2], earlier[1::2], strict=True), (self._sent_at, self.progress)]
        return [SentProgress(when, state) for when, state in pairs]

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


class ConnectionSessions(Struct, eq=False, gc=False):
    """The sessions of one connection.

    Attributes:
        sent_states: what was sent of each session. An ended one stays until the client knows of its end.
        expires: when the authorisation of one of them expires next, Unix seconds.
        lone: the session of index 0, where there is no other one, and it has not ended; else None.
    """

    _ticket: Ticket
    _send_queue: SendQueue
    sent_states: tuple[SentState, ...] = ()
    expires: float = inf
    lone: SentState | None = None

    @classmethod
    def of(cls, ticket: Ticket, send_queue: SendQueue) -> ConnectionSessions:
        """A new one.

        Arguments:
            ticket: the ticket of the connection; its permits are the sessions.
            send_queue: takes everything that is to be sent.
        """
        sessions = cls(ticket, send_queue)
        for permit in ticket.permits:
            if permit.over not in IMMEDIATE_ENDS:
                # A feed that ended over the previous connection may have lost more than its end: it is asked again.
                permit.over = None
            sessions.join(permit)
        return sessions

    def get(self, index: int) -> SentState | None:
        """The session of that index, until the client knows of its end."""
        for sent_state in self.sent_states:
            if sent_state.permit.index == index:
                return sent_state
        return None

    def join(self, permit: SessionPermit) -> SentState | None:
        """Adds a session, or extends it to its present authorisation.

        Returns:
            The new session; None when it was there already.
        """
        new = None
        if self.get(permit.index) is None:
            new = SentState(permit, self._ticket.agreement)
            self.sent_states = (*self.sent_states, new)
            if permit.named and permit.over is None:
                self.name(permit)
        self._note_change()
        return new

    def name(self, permit: SessionPermit) -> None:
        """Schedules the name of a session that the client did not ask for."""
        permit.named = True
        self._send_queue.put(permit.index, _NAME, encoded([SessionName(permit.session_id)]))

    def send_full_state(self) -> None:
        """Schedules everything, whatever the client holds."""
        for sent_state in self.sent_states:
            if not sent_state.over:
                for news in sent_state.everything():
                    self._send_queue.put(sent_state.index, news.topic, news.records)

    def end(self, sent_states: Iterable[SentState], reason: CloseReason) -> list[SentState] | None:
        """Ends sessions, unless none would be left.

        Returns:
            The sessions that ended; None when none would be left: then the connection ends, and sends its own end.
        """
        ending = [sent_state for sent_state in sent_states if not sent_state.over]
        if reason in IMMEDIATE_ENDS:
            for sent_state in ending:
                self._send_queue.drop(sent_state.index)
        if all(sent_state.over or sent_state in ending for sent_state in self.sent_states):
            return None
        for sent_state in ending:
            sent_state.permit.over = reason
        self._note_change()
        return ending

    def ended_crafts(self) -> list[SentState]:
        """The sessions whose crafts are done or have failed, as far as the client was sent that."""
        return [
            sent_state
            for sent_state in self.sent_states
            if not sent_state.over and sent_state.progress is not None and sent_state.progress.progress.status.terminal
        ]

    def lapsed(self, now: float) -> list[SentState]:
        """Those whose authorisation has expired."""
        return [
            sent_state for sent_state in self.sent_states if not sent_state.over and now >= sent_state.permit.expires
        ]

    def send_ends(self) -> None:
        """Schedules the end of each ended session once everything else of it has arrived."""
        for sent_state in self.sent_states:
            reason = sent_state.permit.over
            if reason is not None and not self._send_queue.keeps(sent_state.index):
                self._send_queue.put(sent_state.index, _END, encoded([SessionOver(reason)]))

    def landed(self, keys: Iterable[Key]) -> None:
        """These records were acknowledged. Removes the sessions whose end is among them."""
        for index, topic, _ in keys:
            if topic == _END:
                self.sent_states = tuple(each for each in self.sent_states if each.index != index)
                self._note_change()

    def hold(self, held: dict[int, int]) -> None:
        """The client holds the tables of these versions, by session. Ignores sessions that have ended.

        Raises:
            BadDatagram: there never was such a table, or session.
        """
        tables = []
        for index, version in held.items():
            sent_state = self._known(index)
            if sent_state is None or not version:
                continue
            if not sent_state.acknowledged_version(version):
                raise BadDatagram("out_of_range", "an acknowledgement of a table that was never sent")
            tables.append((sent_state, version))
        for sent_state, version in tables:
            sent_state.holds(version)

    def named(self, indexes: list[int]) -> list[SentState]:
        """The sessions that the client names, without those whose end it knows.

        Raises:
            BadDatagram: there never was such a session.
        """
        return [sent_state for index in indexes if (sent_state := self._known(index)) is not None]

    def _known(self, index: int) -> SentState | None:
        if index >= self._ticket.unused:
            raise BadDatagram("out_of_range", "an unknown session")
        return self.get(index)

    def _note_change(self) -> None:
        """Called when a session was added, extended, ended or removed."""
        live = [each for each in self.sent_states if not each.over]
        self.expires = min((each.permit.expires for each in live), default=inf)
        self.lone = live[0] if len(self.sent_states) == len(live) == 1 and not live[0].index else None
