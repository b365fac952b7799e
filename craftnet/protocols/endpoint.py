"""The server's end of the UDP protocol: every peer of one socket, and the handshake that makes them. Sans-I/O.

A datagram passes the cheapest checks first: length, first byte, connection id, source, replay, AEAD (or MAC), content.
What fails one of them is counted and never answered. Until an address has proved itself by bringing a cookie back,
nothing is remembered of it and it is sent less than it sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.errors import BadDatagram
from craftnet.protocols import codec
from craftnet.protocols.channel import OVERHEAD, Channel
from craftnet.protocols.conditions import Conditions
from craftnet.protocols.cookies import Address, CookieOven
from craftnet.protocols.deadlines import Deadlines
from craftnet.protocols.floods import Sources
from craftnet.protocols.keys import NONCE_SIZE, HandshakeKey, client_key, server_key
from craftnet.protocols.layouts import HANDSHAKE_SIZE
from craftnet.protocols.peer import Peer, Send, Terms
from craftnet.protocols.records import Challenge, CloseReason, Kind
from craftnet.protocols.tickets import Ticket, TicketStore
from craftnet.state import MaterialsState, SessionState

MAX_SIZE = 1200
"""The longest datagram taken; no client has reason to send one half as long."""

# No coming back after these.
_FINAL = frozenset({CloseReason.ENDED, CloseReason.EXPIRED, CloseReason.NOT_FOUND, CloseReason.REVOKED})


class Opened(NamedTuple):
    """A client has proved itself: let this peer hear of its session."""

    peer: Peer


class Gone(NamedTuple):
    """This peer is over; `peer.finished` says why."""

    peer: Peer


Effect = Send | Opened | Gone


class Endpoint:
    """All peers of one socket.

    Arguments:
        tickets: who may connect.
        secret: 32 random bytes for the cookies.
        random: gives that many random bytes.
        terms: how to treat peers.
        count: is told in one word what became of each datagram.
        measured: is told what the line to a peer is like, once a heartbeat.
    """

    def __init__(
        self,
        tickets: TicketStore,
        *,
        secret: bytes,
        random: Callable[[int], bytes],
        terms: Terms,
        count: Callable[[str], None],
        measured: Callable[[Conditions], None] = lambda conditions: None,
    ) -> None:
        self._tickets = tickets
        self._oven = CookieOven(secret)
        self._random = random
        self._terms = terms
        self._count = count
        self._measured = measured
        self._sources = Sources()
        self._peers: dict[int, tuple[Peer, Ticket]] = {}
        self._deadlines: Deadlines[Peer] = Deadlines()
        handlers = {codec.first_byte(Kind.HELLO): self._hello, codec.first_byte(Kind.RESPONSE): self._response}
        for kind in (Kind.ACK, Kind.HEARTBEAT, Kind.RESYNC, Kind.CLOSE, Kind.PATH_RESPONSE):
            handlers[codec.first_byte(kind)] = handlers[codec.first_byte(kind) | codec.PHASE] = self._sealed
        self._handlers = handlers

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, Unix seconds; None when nothing is due."""
        return self._deadlines.earliest

    def receive(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        """Take whatever came in from `address`. Never raises."""
        size = len(datagram)
        try:
            if size < OVERHEAD:
                raise BadDatagram("truncated")
            if size > MAX_SIZE:
                raise BadDatagram("overlong")
            handler = self._handlers.get(datagram[0])
            if handler is None:
                raise BadDatagram("type")
            effects = handler(datagram, address, now)
        except BadDatagram as error:
            if error.outcome == "forged":
                self._sources.charge(address, now)
            self._count(error.outcome)
            return []
        self._count("accepted")
        return effects

    def tell(self, peer: Peer, state: SessionState | MaterialsState, now: float) -> list[Effect]:
        """What `peer` watches is now like this."""
        return self._settle(peer, peer.tell(state, now), now) if peer.finished is None else []

    def close(self, peer: Peer, reason: CloseReason, now: float) -> list[Effect]:
        """The feed of `peer` is over."""
        return self._settle(peer, peer.close(reason, now), now) if peer.finished is None else []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due at `now`."""
        return [effect for peer in self._deadlines.due(now) for effect in self._settle(peer, peer.tick(now), now)]

    def shut_down(self, now: float) -> list[Effect]:
        """Say goodbye to everybody; there are no peers after it."""
        effects: list[Effect] = []
        for peer, _ in list(self._peers.values()):
            effects += self._settle(peer, peer.abandon(CloseReason.GOING_AWAY), now)
        return effects

    def revoke(self, covered: Callable[[Principal], bool], now: float) -> tuple[int, list[Effect]]:
        """Close the connections of bearers that are `covered`, and let none be opened with what they were given.

        Returns:
            How many connections there were, and what to do.
        """
        closed, effects = 0, list[Effect]()
        for ticket in self._tickets.of_bearers(covered):
            if ticket.connection_id in self._peers:
                closed += 1
                effects += self.close(self._peers[ticket.connection_id][0], CloseReason.REVOKED, now)
            self._tickets.revoke(ticket)
        return closed, effects

    def peer_of(self, session_id: UUID, player_id: UUID) -> Peer | None:
        """The player's newest connection to this session."""
        for ticket in reversed(self._tickets.for_session(session_id, player_id)):
            found = self._peers.get(ticket.connection_id)
            if found is not None:
                return found[0]
        return None

    def _hello(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        _, key, _, content = self._authenticated(datagram, address, now)
        hello = codec.decode_hello(content)
        cookie = self._oven.bake(address, hello.connection_id, hello.client_nonce, self._random(NONCE_SIZE), now)
        challenge = Challenge(hello.connection_id, hello.client_nonce, cookie)
        return [Send(key.sign(codec.encode_challenge(challenge)), address)]

    def _response(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        ticket, _, secret, content = self._authenticated(datagram, address, now)
        response = codec.decode_response(content)
        cookie = response.cookie
        self._oven.verify(cookie, address, response.connection_id, response.client_nonce, now)
        # Each cookie opens one connection, and only in the order they were issued: with a handshake that is
        # replayed, the keys would come back, and their nonces with them.
        if cookie.issued_us <= ticket.last_cookie_us:
            raise BadDatagram("repeated")
        effects: list[Effect] = []
        if response.connection_id in self._peers:
            replaced, _ = self._peers[response.connection_id]
            replaced.replace()
            effects += self._settle(replaced, [], now)
        channel = Channel(
            response.connection_id,
            outgoing=server_key(secret, response.client_nonce, cookie.server_nonce),
            incoming=client_key(secret, response.client_nonce, cookie.server_nonce),
        )
        ticket.used(secret)
        peer = Peer(ticket, address, channel, self._terms, self._random, now)
        peer.pulse.round_trip.measured(now - cookie.issued_us / 1_000_000)
        self._tickets.occupy(ticket, cookie.issued_us)
        self._peers[response.connection_id] = (peer, ticket)
        effects.append(Opened(peer))
        return effects + self._settle(peer, peer.tick(now), now)

    def _authenticated(
        self, datagram: bytes, address: Address, now: float
    ) -> tuple[Ticket, HandshakeKey, bytes, bytes]:
        """Whose handshake datagram this is; then as `Ticket.authenticate`."""
        if len(datagram) != HANDSHAKE_SIZE:
            raise BadDatagram("truncated" if len(datagram) < HANDSHAKE_SIZE else "trailing")
        ticket = self._tickets.find(codec.connection_id(datagram), now)
        if ticket is None:
            raise BadDatagram("unknown_connection")
        if self._sources.exhausted(address, now):
            raise BadDatagram("throttled")
        return ticket, *ticket.authenticate(datagram, now)

    def _sealed(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        found = self._peers.get(codec.connection_id(datagram))
        if found is None:
            raise BadDatagram("unknown_connection")
        peer = found[0]
        if address != peer.address and self._sources.exhausted(address, now):
            raise BadDatagram("throttled")
        try:
            sends = peer.receive(datagram, address, now)
        except BadDatagram:
            self._deadlines.set(peer, peer.deadline)  # what is authentic but of no use may have changed it, too.
            raise
        if datagram[0] & ~codec.PHASE == _HEARTBEAT:
            self._measured(peer.conditions)
        return self._settle(peer, sends, now)

    def _settle(self, peer: Peer, sends: list[Send], now: float) -> list[Effect]:
        """What a peer sends, and its next deadline, or its end."""
        effects: list[Effect] = [*sends]
        if peer.finished is None:
            self._deadlines.set(peer, peer.deadline)
            return effects
        _, ticket = self._peers.pop(peer.connection_id)
        self._deadlines.discard(peer)
        self._tickets.release(ticket, now)
        if peer.finished in _FINAL:
            self._tickets.revoke(ticket)
        return [*effects, Gone(peer)]


_HEARTBEAT = codec.first_byte(Kind.HEARTBEAT)
