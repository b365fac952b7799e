"""The sessions of one connection at the server: what was sent of each, and which have ended. Pure.

live ─end()─▶ ended: what is unacknowledged, then the record of the end ─acknowledged─▶ removed
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
from craftnet.protocols.wire.records import CloseReason, SessionName, SessionOver

IMMEDIATE_ENDS = frozenset({CloseReason.REVOKED, CloseReason.LEFT})
"""Ends after which nothing that the client does not know yet is sent."""

_END = "end"
"""The topic of a session's end."""

_NAME = "name"
"""The topic of the name of a session that the server added by itself."""


class ConnectionSessions(Struct, eq=False, gc=False):
    """The sessions of one connection.

    Attributes:
        sent_states: what was sent of each session. An ended one stays until the client knows of its end.
        expires: when the authorisation of one of them expires next, Unix seconds.
    """

    _ticket: Ticket
    _send_queue: SendQueue
    sent_states: tuple[SentState, ...] = ()
    expires: float = inf

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
            room = self._ticket.agreement.datagram - OVERHEAD
            new = SentState(permit, room - codec.SELECTOR_SIZE if permit.index else room)
            self.sent_states = (*self.sent_states, new)
            if permit.named and permit.over is None:
                self.name(permit)
        self._note_expiry()
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
        self._note_expiry()
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

    def _note_expiry(self) -> None:
        self.expires = min((each.permit.expires for each in self.sent_states if not each.over), default=inf)
