"""The sessions of one connection, as the server sees it: what is told of which, and which are over. Pure.

told of ─end()─▶ over: what is unacknowledged, then the record that says so ─acknowledged─▶ departed
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols import codec
from craftnet.protocols.records import CloseReason, SessionOver
from craftnet.protocols.udp.channel import OVERHEAD
from craftnet.protocols.udp.grants import Grant
from craftnet.protocols.udp.outbox import Outbox
from craftnet.protocols.udp.parcels import Key
from craftnet.protocols.udp.replica import Replica
from craftnet.protocols.udp.snapshots import encoded
from craftnet.protocols.udp.tickets import Ticket

AT_ONCE = frozenset({CloseReason.REVOKED, CloseReason.LEFT})
"""Ends after which the client is told nothing more of what it does not know yet."""

_END = "end"
"""The topic of a session's end."""


class Roster(Struct, eq=False, gc=False):
    """Of one connection.

    Attributes:
        replicas: what the client was told of each session. One that is over stays until the client knows.
        expires: when the leave to watch one of them runs out next, Unix seconds.
        ended: those that came to an end since this was last emptied.
        departed: those of whose end the client has come to know since this was last emptied.
    """

    _ticket: Ticket
    _outbox: Outbox
    replicas: tuple[Replica, ...] = ()
    expires: float = inf
    ended: tuple[Replica, ...] = ()
    departed: tuple[Replica, ...] = ()

    @classmethod
    def of(cls, ticket: Ticket, outbox: Outbox) -> Roster:
        """A new one.

        Arguments:
            ticket: what the connection was opened with; its grants are the sessions.
            outbox: where everything that is to be told goes.
        """
        roster = cls(ticket, outbox)
        for grant in ticket.grants:
            if grant.over not in AT_ONCE:
                # A feed that ended over the connection before may have ended with more than its end: it is asked again.
                grant.over = None
            roster.join(grant)
        return roster

    def get(self, index: int) -> Replica | None:
        """The session of that index, until the client knows that it is over."""
        for replica in self.replicas:
            if replica.grant.index == index:
                return replica
        return None

    def join(self, grant: Grant) -> Replica | None:
        """Tell of this session, too, or for as long as is granted now.

        Returns:
            What is new; None when it was there already.
        """
        new = None
        if self.get(grant.index) is None:
            room = self._ticket.agreement.datagram - OVERHEAD
            new = Replica(grant, room - codec.SELECTOR_SIZE if grant.index else room)
            self.replicas = (*self.replicas, new)
        self._note_expiry()
        return new

    def tell_everything(self) -> None:
        """Whatever the client may hold."""
        for replica in self.replicas:
            if not replica.over:
                for news in replica.everything():
                    self._outbox.put(replica.index, news.topic, news.records)

    def end(self, replicas: Iterable[Replica], reason: CloseReason) -> bool:
        """These are over. Whether nothing is left: then the end is the connection's, and is not told here."""
        ending = [replica for replica in replicas if not replica.over]
        if reason in AT_ONCE:
            for replica in ending:
                self._outbox.drop(replica.index)
        if all(replica.over or replica in ending for replica in self.replicas):
            return True
        for replica in ending:
            replica.grant.over = reason
        self.ended = (*self.ended, *ending)
        self._note_expiry()
        return False

    def lapsed(self, now: float) -> list[Replica]:
        """Those the leave to watch which has run out."""
        return [replica for replica in self.replicas if not replica.over and now >= replica.grant.expires]

    def tell_ends(self) -> None:
        """Of each that is over, once all else of it has arrived."""
        for replica in self.replicas:
            reason = replica.grant.over
            if reason is not None and not self._outbox.keeps(replica.index):
                self._outbox.put(replica.index, _END, encoded([SessionOver(reason)]))

    def landed(self, keys: Iterable[Key]) -> None:
        """These records have arrived."""
        for index, topic, _ in keys:
            if topic == _END:
                self.departed = (*self.departed, *(each for each in self.replicas if each.index == index))
                self.replicas = tuple(each for each in self.replicas if each.index != index)

    def hold(self, held: dict[int, int]) -> None:
        """The client has the tables of these versions, by session. What is said of one that is over does not matter.

        Raises:
            BadDatagram: there never was such a table, or session.
        """
        tables = []
        for index, version in held.items():
            replica = self._known(index)
            if replica is None or not version:
                continue
            if not replica.told(version):
                raise BadDatagram("out_of_range", "an acknowledgement of a table that was never told")
            tables.append((replica, version))
        for replica, version in tables:
            replica.holds(version)

    def named(self, indexes: list[int]) -> list[Replica]:
        """What the client means; without what it knows to be over.

        Raises:
            BadDatagram: there never was such a session.
        """
        return [replica for index in indexes if (replica := self._known(index)) is not None]

    def _known(self, index: int) -> Replica | None:
        if index >= self._ticket.unused:
            raise BadDatagram("out_of_range", "a session that never was")
        return self.get(index)

    def _note_expiry(self) -> None:
        self.expires = min((each.grant.expires for each in self.replicas if not each.over), default=inf)
