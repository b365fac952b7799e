"""The sessions of one connection, as the server sees it: what is told of which, and which are over. Pure.

told of ─end()─▶ over: what is unacknowledged, then the record that says so ─acknowledged─▶ departed
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.state_records import encoded
from craftnet.protocols.udp.server.packetizer import Key
from craftnet.protocols.udp.server.send_queue import SendQueue
from craftnet.protocols.udp.server.sent_state import SentState
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, SessionOver

IMMEDIATE_ENDS = frozenset({CloseReason.REVOKED, CloseReason.LEFT})
"""Ends after which the client is told nothing more of what it does not know yet."""

_END = "end"
"""The topic of a session's end."""


class ConnectionSessions(Struct, eq=False, gc=False):
    """Of one connection.

    Attributes:
        sent_states: what the client was told of each session. One that is over stays until the client knows.
        expires: when the leave to watch one of them runs out next, Unix seconds.
        ended: those that came to an end since this was last emptied.
        departed: those of whose end the client has come to know since this was last emptied.
    """

    _ticket: Ticket
    _send_queue: SendQueue
    sent_states: tuple[SentState, ...] = ()
    expires: float = inf
    ended: tuple[SentState, ...] = ()
    departed: tuple[SentState, ...] = ()

    @classmethod
    def of(cls, ticket: Ticket, send_queue: SendQueue) -> ConnectionSessions:
        """A new one.

        Arguments:
            ticket: what the connection was opened with; its grants are the sessions.
            send_queue: where everything that is to be told goes.
        """
        sessions = cls(ticket, send_queue)
        for permit in ticket.permits:
            if permit.over not in IMMEDIATE_ENDS:
                # A feed that ended over the connection before may have ended with more than its end: it is asked again.
                permit.over = None
            sessions.join(permit)
        return sessions

    def get(self, index: int) -> SentState | None:
        """The session of that index, until the client knows that it is over."""
        for sent_state in self.sent_states:
            if sent_state.permit.index == index:
                return sent_state
        return None

    def join(self, permit: SessionPermit) -> SentState | None:
        """Tell of this session, too, or for as long as is granted now.

        Returns:
            What is new; None when it was there already.
        """
        new = None
        if self.get(permit.index) is None:
            room = self._ticket.agreement.datagram - OVERHEAD
            new = SentState(permit, room - codec.SELECTOR_SIZE if permit.index else room)
            self.sent_states = (*self.sent_states, new)
        self._note_expiry()
        return new

    def send_full_state(self) -> None:
        """Whatever the client may hold."""
        for sent_state in self.sent_states:
            if not sent_state.over:
                for news in sent_state.everything():
                    self._send_queue.put(sent_state.index, news.topic, news.records)

    def end(self, sent_states: Iterable[SentState], reason: CloseReason) -> bool:
        """These are over. Whether nothing is left: then the end is the connection's, and is not told here."""
        ending = [sent_state for sent_state in sent_states if not sent_state.over]
        if reason in IMMEDIATE_ENDS:
            for sent_state in ending:
                self._send_queue.drop(sent_state.index)
        if all(sent_state.over or sent_state in ending for sent_state in self.sent_states):
            return True
        for sent_state in ending:
            sent_state.permit.over = reason
        self.ended = (*self.ended, *ending)
        self._note_expiry()
        return False

    def lapsed(self, now: float) -> list[SentState]:
        """Those the leave to watch which has run out."""
        return [
            sent_state for sent_state in self.sent_states if not sent_state.over and now >= sent_state.permit.expires
        ]

    def send_ends(self) -> None:
        """Of each that is over, once all else of it has arrived."""
        for sent_state in self.sent_states:
            reason = sent_state.permit.over
            if reason is not None and not self._send_queue.keeps(sent_state.index):
                self._send_queue.put(sent_state.index, _END, encoded([SessionOver(reason)]))

    def landed(self, keys: Iterable[Key]) -> None:
        """These records have arrived."""
        for index, topic, _ in keys:
            if topic == _END:
                self.departed = (*self.departed, *(each for each in self.sent_states if each.index == index))
                self.sent_states = tuple(each for each in self.sent_states if each.index != index)

    def hold(self, held: dict[int, int]) -> None:
        """The client has the tables of these versions, by session. What is said of one that is over does not matter.

        Raises:
            BadDatagram: there never was such a table, or session.
        """
        tables = []
        for index, version in held.items():
            sent_state = self._known(index)
            if sent_state is None or not version:
                continue
            if not sent_state.acknowledged_version(version):
                raise BadDatagram("out_of_range", "an acknowledgement of a table that was never told")
            tables.append((sent_state, version))
        for sent_state, version in tables:
            sent_state.holds(version)

    def named(self, indexes: list[int]) -> list[SentState]:
        """What the client means; without what it knows to be over.

        Raises:
            BadDatagram: there never was such a session.
        """
        return [sent_state for index in indexes if (sent_state := self._known(index)) is not None]

    def _known(self, index: int) -> SentState | None:
        if index >= self._ticket.unused:
            raise BadDatagram("out_of_range", "a session that never was")
        return self.get(index)

    def _note_expiry(self) -> None:
        self.expires = min((each.permit.expires for each in self.sent_states if not each.over), default=inf)
