"""The server's end of one UDP connection, after the handshake. Sans-I/O: datagrams and states in, datagrams out.

    open ─close()─▶ closing: what is unacknowledged, then CLOSE, repeated ─acknowledged, or often enough─▶ finished
      └──CLOSE from the client, or silence────────────────────────────────────────────────────────────────▲

States are conflated (`outbox`); the newest is kept, so that all of it can be told again: on request, after a move of
the client, and every now and then. What is told of which session, `roster` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from uuid import UUID

from msgspec import Struct

from craftnet.access.tokenbucket import TokenBucket
from craftnet.errors import BadDatagram
from craftnet.positions import Position
from craftnet.protocols import codec
from craftnet.protocols.records import CloseReason, FreshSecret, Kind
from craftnet.protocols.udp.channel import OVERHEAD, Channel, Incoming
from craftnet.protocols.udp.conditions import Conditions
from craftnet.protocols.udp.cookies import Address
from craftnet.protocols.udp.farewell import Farewell
from craftnet.protocols.udp.grants import Grant
from craftnet.protocols.udp.outbox import NEVER, Outbox
from craftnet.protocols.udp.pacing import Pace
from craftnet.protocols.udp.parcels import NO_SESSION, Key
from craftnet.protocols.udp.path import Path
from craftnet.protocols.udp.replica import Replica
from craftnet.protocols.udp.roster import Roster
from craftnet.protocols.udp.rotation import PERIOD
from craftnet.protocols.udp.snapshots import encoded
from craftnet.protocols.udp.tickets import Ticket
from craftnet.protocols.udp.timing import Pulse
from craftnet.state import MaterialsState, SessionState

RESYNC_SPACING = 1.0
"""Seconds between two full states sent on request."""

DATAGRAMS = 100
"""Datagrams per second taken from one client; a client that is in order sends some 50 on its busiest second …"""

BURST = 200
"""… and this many at once after a pause."""

_BUCKET = TokenBucket(DATAGRAMS, BURST + 1)

_PROBE_SIZE = OVERHEAD + codec.PROBE_SIZE

_NO_TABLES = codec.encode_held({})
"""The body of an ACK of a client that has no table of materials to speak of."""

_SECRET = "secret"
"""The topic of a new session_token."""


class Terms(Struct, frozen=True):
    """How a server treats its peers.

    Attributes:
        heartbeat: seconds between heartbeats.
        full_sync: seconds after which all is told again, on average: each time is between half of it and half more.
        key_rotation: seconds after which the keys of what the server sends are replaced.
    """

    heartbeat: float = 5.0
    full_sync: float = 10.0
    key_rotation: float = PERIOD


class Send(Struct, frozen=True, gc=False):
    """Send this datagram there."""

    datagram: bytes
    address: Address


class Peer:
    """One client.

    Arguments:
        ticket: what it came in with.
        random: gives that many random bytes.

    Attributes:
        connection_id: how its datagrams name it.
        channel: what seals, opens and numbers the datagrams.
        finished: why the connection is over; None while it is not.
        pace: how much may be sent.
        path: where it is, and where it may have moved to.
        pulse: round trip and clock offset.
        sessions: what the client is told of.
        ticket: what it came in with.
    """

    __slots__ = (
        "_alarm",
        "_datagrams_full_at",
        "_farewell",
        "_outbox",
        "_random",
        "_resync_at",
        "_resync_from",
        "_sync_at",
        "_terms",
        "channel",
        "connection_id",
        "finished",
        "pace",
        "path",
        "pulse",
        "sessions",
        "ticket",
    )

    def __init__(
        self,
        ticket: Ticket,
        address: Address,
        channel: Channel,
        terms: Terms,
        random: Callable[[int], bytes],
        now: float,
    ) -> None:
        self.finished: CloseReason | None = None
        self.pulse = Pulse(terms.heartbeat, now)
        self.ticket = ticket
        self.connection_id = ticket.connection_id
        self.path = Path(address)
        self.channel = channel
        self._terms = terms
        self._random = random
        self.pace = Pace()
        self._outbox = Outbox(ticket.agreement, channel, self.pulse.round_trip, self.pace)
        self.sessions = Roster.of(ticket, self._outbox)
        self._datagrams_full_at = self._resync_from = NEVER
        self._sync_at = inf
        self._resync_at = inf
        self._farewell: Farewell | None = None
        self._alarm = now  # when there is something to do but to empty the outbox.

    @property
    def player_id(self) -> UUID:
        """Who watches."""
        return self.ticket.player_id

    @property
    def address(self) -> Address:
        """Where it is sent to."""
        return self.path.address

    @property
    def conditions(self) -> Conditions:
        """What the line to it is like."""
        return self.channel.conditions(self.pulse)

    @property
    def rate(self) -> float:
        """Bytes per second that it may be told at most, as the line is."""
        return self.pace.rate

    @property
    def closing(self) -> bool:
        """Whether its end has begun: nothing new is told, and no session can join."""
        return self._farewell is not None

    @property
    def deadline(self) -> float:
        """When to call `tick` next, Unix seconds."""
        alarm, told = self._alarm, self._outbox.deadline
        return alarm if alarm < told else told

    def receive(self, datagram: bytes, address: Address, now: float) -> list[Send] | None:
        """Take a datagram that carries our connection id.

        Returns:
            What to send; None when it only acknowledged something: then `deadline` is no earlier than it was.

        Raises:
            BadDatagram: it is not from the client, or not of use; nothing is sent.
        """
        incoming = self.channel.open(datagram)
        # Only what is authentic costs the client anything: nobody else can use up what it may send.
        full_at = _BUCKET.take(self._datagrams_full_at, now)
        if full_at is None:
            raise BadDatagram("flooding", "more datagrams than a client has reason to send")
        self._datagrams_full_at = full_at
        self.pulse.last_heard = now
        if self._only_acknowledges(incoming, address):
            self._note_landed(self._outbox.acknowledged(incoming.arrivals))
            return None
        if address != self.path.address and incoming.sequence == self.channel.newest:
            self.path.heard(address, len(datagram))
        self._note_landed(self._outbox.acknowledged(incoming.arrivals))
        if self._farewell is not None and self._farewell.landed(incoming.arrivals.covers):
            self.finished = self._farewell.reason
        else:
            try:
                self._take(incoming, address, now)
            except BadDatagram:
                self._alarm = now  # it is not answered, but what it acknowledges may have been waited for.
                raise
        if self.finished is not None:
            return []
        if incoming.kind is Kind.ACK and not self._waits_for_acknowledgements:
            return []
        return self._challenge(now) + self.tick(now)

    def join(self, grant: Grant) -> Replica | None:
        """As `Roster.join`; call it with each change of the ticket's grants."""
        replica = self.sessions.join(grant)
        self._alarm = min(self._alarm, self._next)
        return replica

    def tell(
        self, state: SessionState | MaterialsState, now: float, index: int = 0, at: Position | None = None
    ) -> list[Send]:
        """The session of that index, or its materials, are now like this. Of what is over nothing more is told.

        With several sessions, nothing is sent before the next `tick`, which is due at once: whatever becomes of them in
        one moment goes together.

        Arguments:
            at: where the feed is with this.
        """
        if self._farewell is not None:
            return []
        replica = self.sessions.get(index)
        if replica is None or replica.grant.over is not None:
            return []
        news = replica.advance(state, now)
        if news is None:
            return []
        place = None if at is None else replica.reached(at, state)
        if self._sync_at == inf:
            self._plan_sync(now)
            self._alarm = min(self._alarm, self._next)
        queue = self._outbox
        if place is None and len(self.sessions.replicas) == 1:
            datagrams = queue.send(index, news.topic, news.records, now)
        else:
            queue.put(index, news.topic, news.records)
            if place is not None:
                queue.put(index, place.topic, place.records)
            datagrams = queue.flush(now) if len(self.sessions.replicas) == 1 else []
        address = self.path.address
        return [Send(datagram, address) for datagram in datagrams]

    def end(self, index: int, reason: CloseReason, now: float) -> list[Send]:
        """The feed of that session is over. With the last one the connection is.

        What is unacknowledged is still told first, but to who has lost the right to watch.
        """
        replica = self.sessions.get(index)
        if replica is not None:
            self._end([replica], reason, now)
        return self.tick(now)

    def close(self, reason: CloseReason, now: float) -> list[Send]:
        """All is over: what is unacknowledged, with the same exception, then CLOSE, until it is acknowledged."""
        self._begin_farewell(reason, now)
        return self.tick(now)

    def abandon(self, reason: CloseReason) -> list[Send]:
        """The connection is over at once: one CLOSE, and nothing after it."""
        self.finished = reason
        return [self._send(Kind.CLOSE, codec.encode_close(reason))]

    def replace(self) -> None:
        """The client has a new connection; this one hears nothing more."""
        self.finished = CloseReason.REPLACED

    def tick(self, now: float) -> list[Send]:
        """Do what is due at `now`."""
        if self.pulse.dead(now):
            self.finished = CloseReason.SILENT
            return []
        if now >= self.sessions.expires:
            self._end(self.sessions.lapsed(now), CloseReason.EXPIRED, now)
        sends = []
        if self.pulse.due(now):
            self.channel.renew(now, self._terms.key_rotation)
            sends.append(self._send(Kind.HEARTBEAT, codec.encode_heartbeat(self.pulse.beat(now, now))))
        if now >= self._resync_at:
            self._resync_at, self._resync_from = inf, now + RESYNC_SPACING
            self._tell_everything(now)
        if now >= self._sync_at:
            self._tell_everything(now)
        if now >= self.ticket.renew_at and self._farewell is None:
            secret = self.ticket.offer(self._random, now)
            self._outbox.put(NO_SESSION, _SECRET, encoded([FreshSecret(secret)]))
        if len(self.sessions.replicas) > 1 and not (self._farewell is not None and self._farewell.at_once):
            self.sessions.tell_ends()
        sends += [Send(datagram, self.path.address) for datagram in self._outbox.flush(now)]
        sends += self._say_farewell(now)
        self._alarm = self._next
        return sends

    @property
    def _next(self) -> float:
        """When there is something to do but to empty the outbox. When that may be earlier now, the alarm is moved."""
        if self._farewell is None:
            until = min(self.sessions.expires, self.ticket.renew_at, self._sync_at)
        else:
            until = self._farewell.deadline
        return min(self.pulse.deadline, until, self._resync_at)

    @property
    def _waits_for_acknowledgements(self) -> bool:
        """Whether more may be to do once something has arrived: an end to be told, or a move to be proved."""
        return self._farewell is not None or len(self.sessions.replicas) > 1 or self.path.candidate is not None

    def _only_acknowledges(self, incoming: Incoming, address: Address) -> bool:
        """Whether nothing but what has arrived follows from it: so it is with nearly every datagram."""
        return (
            incoming.kind is Kind.ACK
            and incoming.body == _NO_TABLES
            and address == self.path.address
            and not self._waits_for_acknowledgements
        )

    def _note_landed(self, landed: list[Key]) -> None:
        if landed:
            if (NO_SESSION, _SECRET, 0) in landed:
                self.ticket.renewed()
            self.sessions.landed(landed)

    def _take(self, incoming: Incoming, address: Address, now: float) -> None:
        match incoming.kind:
            case Kind.ACK:
                self.sessions.hold(codec.decode_held(incoming.body))
            case Kind.HEARTBEAT:
                measured = self.pulse.round_trip.smoothed is not None
                self.pulse.heard(codec.decode_heartbeat(incoming.body), incoming.sequence, now, now)
                if not measured:
                    self._outbox.hasten(now)
                self.pace.adapt(self.conditions, now)
            case Kind.RESYNC:
                codec.decode_nothing(incoming.body)
                self._resync_at = max(now, self._resync_from)
            case Kind.LEAVE:
                self._end(self.sessions.named(codec.decode_leave(incoming.body)), CloseReason.LEFT, now)
            case Kind.PATH_RESPONSE:
                delay = self.path.answered(codec.decode_probe(incoming.body), address, now)
                self.pulse.forget_line()
                self.pulse.round_trip.measured(delay)
                self.pace.forget_line()
                self._resync_at = max(now, self._resync_from)
            case Kind.CLOSE:
                codec.decode_close(incoming.body)
                self.finished = CloseReason.LEFT
            case _:
                raise codec.misplaced(incoming.kind)

    def _challenge(self, now: float) -> list[Send]:
        if not self.path.may_challenge(_PROBE_SIZE, now):
            return []
        data = self._random(codec.PROBE_SIZE)
        address = self.path.challenge(data, _PROBE_SIZE, now)
        return [Send(self.channel.seal(Kind.PATH_CHALLENGE, codec.encode_probe(data)), address)]

    def _plan_sync(self, now: float) -> None:
        """Some time from now, different for every peer and every time, so that they never come all at once."""
        jitter = int.from_bytes(self._random(2), "big") / 0x10000
        self._sync_at = now + self._terms.full_sync * (0.5 + jitter)

    def _tell_everything(self, now: float) -> None:
        if self._farewell is None:
            self.sessions.tell_everything()
            self._plan_sync(now)

    def _send(self, kind: Kind, body: bytes) -> Send:
        return Send(self.channel.seal(kind, body), self.path.address)

    def _end(self, replicas: list[Replica], reason: CloseReason, now: float) -> None:
        if replicas and self._farewell is None and self.sessions.end(replicas, reason):
            self._begin_farewell(reason, now)

    def _begin_farewell(self, reason: CloseReason, now: float) -> None:
        # A right that is taken away ends what is being ended already.
        if self._farewell is None or (reason is CloseReason.REVOKED and not self._farewell.at_once):
            self._farewell = Farewell(reason, now)
        if self._farewell.at_once:
            self._outbox.clear()

    def _say_farewell(self, now: float) -> list[Send]:
        """The CLOSE, when there is nothing else left to tell."""
        farewell = self._farewell
        if farewell is None or not farewell.due(now, self._outbox.empty):
            return []
        if farewell.exhausted:
            self.finished = farewell.reason
            return []
        close = self._send(Kind.CLOSE, codec.encode_close(farewell.reason))
        farewell.sent(self.channel.sent, now, self.pulse.round_trip.timeout)
        return [close]
