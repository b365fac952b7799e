"""The server's side of the UDP protocol: every connection of one socket, and the handshakes that open them. Sans-I/O.

A datagram passes the cheapest checks first: length, first byte, connection id, source, replay, AEAD (or MAC), content.
A failed check is counted and never answered. Until an address has proved itself by returning a cookie, the server
remembers nothing of it and sends it less than it received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple
from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.contract.position import Position
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.observe.metrics.hot_counters import DatagramCounts
from craftnet.protocols.udp.core.cookie import Address, CookieFactory
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.heartbeat import HANDSHAKE_RETRY
from craftnet.protocols.udp.core.keys import NONCE_SIZE, HandshakeKey, SessionToken, TrafficKey, client_key, server_key
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, PacketProtection
from craftnet.protocols.udp.server.connection import Output, Send, ServerConnection, SessionLeft, Terms
from craftnet.protocols.udp.server.fast_path import ACK_SIZE, lone_progress, take_acknowledgement
from craftnet.protocols.udp.server.forgery_limiter import ForgeryLimiter
from craftnet.protocols.udp.server.sessions import SentState
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.layouts import HANDSHAKE_SIZE
from craftnet.protocols.wire.records import Challenge, CloseReason, DatagramKind
from craftnet.runtime.timers import Deadlines

MAX_RECEIVED_SIZE = 1200
"""The longest accepted datagram; no client needs half of it."""

SHARED_SIZE = OVERHEAD + codec.SELECTOR_SIZE + codec.MATERIALS_PART_SIZE + codec.MATERIAL_ROW_SIZE
"""Minimum length of datagrams for several sessions: a row of a table after a selector."""

# Reasons that no new connection can undo.
_FINAL = frozenset({CloseReason.ENDED, CloseReason.EXPIRED, CloseReason.NOT_FOUND, CloseReason.REVOKED})


class ConnectionOpened(NamedTuple):
    """A client has opened a connection."""

    peer: ServerConnection


class SessionJoined(NamedTuple):
    """Subscribe this connection to that session."""

    peer: ServerConnection
    session: SentState


class ConnectionGone(NamedTuple):
    """This connection has closed, and left every session; `peer.finished` is the reason."""

    peer: ServerConnection


Effect = Send | ConnectionOpened | SessionJoined | SessionLeft | ConnectionGone

_NOTHING: list[Effect] = []  # nearly always; never modified.


class Dispatcher:
    """All connections of one socket.

    Arguments:
        tickets: the tickets that may connect.
        secret: 32 random bytes for the cookies.
        random: returns that many random bytes.
        terms: the server's timing.
        count: called with a one-word outcome label for every datagram that is not accepted.
        measured: called with a connection once a heartbeat.
        forged: called with the source of each forged datagram.
        log_keys: called with the connection id and both keys of each new connection; None: keys are not logged.
        counts: what happens on connections.

    Attributes:
        deadlines: when `tick` has something to do.
    """

    def __init__(
        self,
        tickets: TicketStore,
        *,
        secret: bytes,
        random: Callable[[int], bytes],
        terms: Terms,
        count: Callable[[str], None],
        measured: Callable[[ServerConnection], None] = lambda peer: None,
        forged: Callable[[Address], None] = lambda address: None,
        log_keys: Callable[[int, TrafficKey, TrafficKey], None] | None = None,
        counts: DatagramCounts | None = None,
    ) -> None:
        self._tickets = tickets
        self._cookies = CookieFactory(secret)
        self._random = random
        self.terms = terms
        self._tracks = terms.congestion is Congestion.DELAY
        self._count = count
        self._measured = measured
        self._log_keys = log_keys
        self._counts = counts or DatagramCounts()
        self._accepted = self._counts.accepted
        self._sources = ForgeryLimiter(forged)
        self._peers: dict[int, ServerConnection] = {}
        self.deadlines: Deadlines[int] = Deadlines()
        handlers = {
            codec.first_byte(DatagramKind.HELLO): self._hello,
            codec.first_byte(DatagramKind.RESPONSE): self._response,
        }
        for kind in (
            DatagramKind.ACK,
            DatagramKind.HEARTBEAT,
            DatagramKind.RESYNC,
            DatagramKind.CLOSE,
            DatagramKind.PATH_RESPONSE,
            DatagramKind.LEAVE,
        ):
            handler = self._heartbeat if kind is DatagramKind.HEARTBEAT else self._sealed
            handlers[codec.first_byte(kind)] = handlers[codec.first_byte(kind) | codec.PHASE] = handler
        self._handlers = handlers

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> Mapping[int, ServerConnection]:
        """All connections, by their ids."""
        return self._peers

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, Unix seconds; None when nothing is due."""
        return None if self.deadlines.earliest == inf else self.deadlines.earliest

    def receive(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        """Handles a datagram from `address`. Never raises."""
        size = len(datagram)
        try:
            if size == ACK_SIZE:  # nearly always.
                peer = take_acknowledgement(self._peers, datagram, address, now)
                if peer is not None:
                    if self._tracks:
                        peer.send_queue.pace.acknowledged(peer.channel.acknowledged, now)
                    self._accepted.value += 1
                    return _NOTHING
            if size < OVERHEAD:
                raise BadDatagram("truncated")
            if size > MAX_RECEIVED_SIZE:
                raise BadDatagram("overlong")
            handler = self._handlers.get(datagram[0])
            if handler is None:
                raise BadDatagram("type" if codec.speaks(datagram) else "reserved")
            effects = handler(datagram, address, now)
        except BadDatagram as error:
            if error.outcome == "forged":
                self._sources.charge(address, now)
            self._count(error.outcome)
            return []
        self._accepted.value += 1
        return effects

    def connection(self, token: SessionToken, player_id: UUID, bearer: Principal | None, now: float) -> Ticket | None:
        """The ticket to which `join` can add a session.

        Arguments:
            token: proves that the caller owns the connection.
            player_id: the owner of the session.
            bearer: the bearer of the token that authorises watching.

        Returns:
            None when there is no such connection, it is another player's, or it is about to close.
        """
        ticket = self._tickets.holder(token, now)
        if ticket is None or ticket.player_id != player_id or not _same_bearer(ticket.bearer, bearer):
            return None
        found = self._peers.get(ticket.connection_id)
        return None if found is not None and found.closing else ticket

    def join(
        self, ticket: Ticket, session_id: UUID, expires: float, bearer: Principal | None, now: float
    ) -> tuple[SessionPermit, list[Effect]] | None:
        """Adds a session to a ticket, or extends it to this time.

        Returns:
            None when the ticket has had too many, or its datagrams are too short for several.

        Raises:
            TooManyRequests: there are too many.
        """
        if ticket.agreement.datagram < SHARED_SIZE and ticket.permit_for(session_id) is None:
            return None
        permit = self._tickets.extend(ticket, session_id, expires, now, bearer)
        if permit is None:
            return None
        peer = self._peers.get(ticket.connection_id)
        if peer is None:
            return permit, []
        new = peer.join(permit)
        effects: list[Effect] = [] if new is None else [SessionJoined(peer, new)]
        return permit, effects + self._settle(peer, [], now)

    def update_progress(
        self, peer: ServerConnection, state: SessionState, now: float, index: int, at: Position | None
    ) -> bytes | None:
        """Does what `update` does, where at most a lone progress record is to be sent: nearly always.

        Returns:
            The datagram to send to the client, empty where it knows the state. None: nothing was done, call `update`.
        """
        datagram = lone_progress(peer, state, now, index, at)
        if datagram:
            queue = peer.send_queue
            if self._tracks:
                queue.pace.track(len(datagram), now, peer.channel.sent)
            if queue.retry_at < queue.reminded_at:
                queue.reminded_at = self.deadlines.remind(peer.channel.connection_id, queue.retry_at)
        return datagram

    def update(
        self,
        peer: ServerConnection,
        state: SessionState | MaterialsState,
        now: float,
        index: int = 0,
        at: Position | None = None,
    ) -> list[Effect]:
        """Updates the connection's session of that index to this state and position."""
        if peer.finished is not None:
            return []
        sends = peer.update(state, now, index, at)
        self.deadlines.set(peer.connection_id, peer.deadline)
        return sends  # type: ignore[return-value]  # no other code has this list.

    def end(self, peer: ServerConnection, index: int, reason: CloseReason, now: float) -> list[Effect]:
        """Ends the feed of the connection's session of that index."""
        return self._settle(peer, peer.end(index, reason, now), now) if peer.finished is None else []

    def close(self, peer: ServerConnection, reason: CloseReason, now: float) -> list[Effect]:
        """Ends all feeds of `peer`."""
        return self._settle(peer, peer.close(reason, now), now) if peer.finished is None else []

    def tick(self, now: float) -> list[Effect]:
        """Does what is due at `now`."""
        effects: list[Effect] = []
        for connection_id in self.deadlines.due(now):
            peer = self._peers.get(connection_id)
            if peer is None:
                continue  # closed since it was scheduled.
            peer.send_queue.reminded_at = inf
            deadline = peer.deadline
            if deadline > now:  # postponed since it was set.
                self.deadlines.set(connection_id, deadline)
            else:
                effects += self._settle(peer, peer.tick(now), now)
        return effects

    def shut_down(self, now: float) -> list[Effect]:
        """Closes all connections."""
        effects: list[Effect] = []
        for peer in list(self._peers.values()):
            effects += self._settle(peer, peer.abandon(CloseReason.GOING_AWAY), now)
        return effects

    def revoke(self, covered: Callable[[Principal], bool], now: float) -> tuple[int, list[Effect]]:
        """Ends what the bearers that are `covered` authorised, and lets it open nothing more.

        Returns:
            The number of feeds, and the effects.
        """
        feeds, effects = 0, list[Effect]()
        for ticket, permits in self._tickets.of_bearers(covered):
            peer = self._peers.get(ticket.connection_id)
            feeds += len(permits) if peer is not None else 0
            if all(permit in permits or permit.over is not None for permit in ticket.permits):
                if peer is not None:
                    effects += self.close(peer, CloseReason.REVOKED, now)
                self._tickets.revoke(ticket)
                continue
            for permit in permits:
                if peer is None:
                    permit.over = CloseReason.REVOKED  # the client learns of it when it returns.
                else:
                    effects += self.end(peer, permit.index, CloseReason.REVOKED, now)
        return feeds, effects

    def sent_state_of(self, session_id: UUID, player_id: UUID) -> tuple[ServerConnection, SentState] | None:
        """What the player's newest connection with this session has sent of it."""
        for ticket in reversed(self._tickets.for_session(session_id, player_id)):
            peer, permit = self._peers.get(ticket.connection_id), ticket.permit_for(session_id)
            sent_state = None if peer is None or permit is None else peer.sessions.get(permit.index)
            if peer is not None and sent_state is not None:
                return peer, sent_state
        return None

    def _hello(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        _, key, _, content = self._authenticated(datagram, address, now)
        hello = codec.decode_hello(content)
        cookie = self._cookies.make(address, hello.connection_id, hello.client_nonce, self._random(NONCE_SIZE), now)
        challenge = Challenge(hello.connection_id, hello.client_nonce, cookie)
        return [Send(key.sign(codec.encode_challenge(challenge)), address)]

    def _response(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        ticket, _, secret, content = self._authenticated(datagram, address, now)
        response = codec.decode_response(content)
        cookie = response.cookie
        self._cookies.verify(cookie, address, response.connection_id, response.client_nonce, now)
        # Each cookie opens one connection, and only in the order of issue: with a replayed handshake the keys would
        # return, and their nonces with them.
        if cookie.issued_us <= ticket.last_cookie_us:
            raise BadDatagram("repeated")
        ticket.open(secret, now)
        effects: list[Effect] = []
        replaced = self._peers.get(response.connection_id)
        if replaced is not None:
            replaced.replace()
            effects += self._settle(replaced, [], now)
        outgoing = server_key(secret, response.client_nonce, cookie.server_nonce)
        incoming = client_key(secret, response.client_nonce, cookie.server_nonce)
        if self._log_keys is not None:
            self._log_keys(ticket.connection_id, incoming, outgoing)
        channel = PacketProtection.of(ticket.connection_id, outgoing=outgoing, incoming=incoming)
        peer = ServerConnection(ticket, address, channel, self.terms, self._random, now, self._counts)
        delay = now - cookie.issued_us / 1_000_000
        if delay < HANDSHAKE_RETRY:  # later it may be a repetition, which measures nothing (RFC 6298 section 3).
            peer.pulse.round_trip.measured(delay)
        self._tickets.occupy(ticket, cookie.issued_us)
        self._peers[ticket.connection_id] = peer
        effects.append(ConnectionOpened(peer))
        effects += [SessionJoined(peer, session) for session in peer.sessions.sent_states if not session.over]
        return effects + self._settle(peer, peer.tick(now), now)

    def _authenticated(
        self, datagram: bytes, address: Address, now: float
    ) -> tuple[Ticket, HandshakeKey, bytes, bytes]:
        """Finds the ticket of a handshake datagram; then as `Ticket.authenticate`."""
        if len(datagram) != HANDSHAKE_SIZE:
            raise BadDatagram("truncated" if len(datagram) < HANDSHAKE_SIZE else "trailing")
        ticket = self._tickets.find(codec.connection_id(datagram), now)
        if ticket is None:
            raise BadDatagram("unknown_connection")
        if self._sources.exhausted(address, now):
            raise BadDatagram("throttled")
        return ticket, *ticket.authenticate(datagram, now)

    def _sealed(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        peer = self._peers.get(int.from_bytes(datagram[codec.CONNECTION_ID], "big"))
        if peer is None:
            raise BadDatagram("unknown_connection")
        if address != peer.address and self._sources.exhausted(address, now):
            raise BadDatagram("throttled")
        try:
            output = peer.receive(datagram, address, now)
        except BadDatagram:
            self.deadlines.set(
                peer.connection_id, peer.deadline
            )  # an authentic but useless datagram may have changed it as well.
            raise
        return self._settle(peer, output, now)

    def _heartbeat(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        effects = self._sealed(datagram, address, now)
        peer = self._peers.get(codec.connection_id(datagram))
        if peer is not None:
            self._measured(peer)
        return effects

    def _settle(self, peer: ServerConnection, output: Output, now: float) -> list[Effect]:
        """Sets the connection's next deadline, or removes it when it has finished. Returns its output and its end."""
        sessions, ticket = peer.sessions, peer.ticket
        if len(ticket.permits) > len(sessions.sent_states):  # the client has learned of an end.
            for permit in ticket.permits:
                if sessions.get(permit.index) is None:
                    self._tickets.withdraw(ticket, permit)
        if peer.finished is None:
            self.deadlines.set(peer.connection_id, peer.deadline)
            return output  # type: ignore[return-value]  # no other code has this list.
        effects: list[Effect] = [*output]
        del self._peers[peer.connection_id]
        self.deadlines.discard(peer.connection_id)
        self._tickets.release(ticket, now)
        # A client that left session after session has no use for the ticket; one that left the connection may return.
        if peer.finished in _FINAL or (peer.finished is CloseReason.LEFT and peer.closing):
            self._tickets.revoke(ticket)
        effects += [SessionLeft(peer, session) for session in sessions.sent_states if not session.over]
        return [*effects, ConnectionGone(peer)]


def _same_bearer(one: Principal | None, other: Principal | None) -> bool:
    """Whether two bearer tokens speak for the same one."""
    return one is not None and other is not None and one.player_id == other.player_id
