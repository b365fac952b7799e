"""The server's end of the UDP protocol: every peer of one socket, and the handshake that makes them. Sans-I/O.

A datagram passes the cheapest checks first: length, first byte, connection id, address, replay, AEAD (or MAC), content.
What fails one of them is counted and never answered. Until an address has proved itself by bringing a cookie back,
nothing is remembered of it and it is sent less than it sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from craftnet.errors import BadDatagram
from craftnet.protocols import codec
from craftnet.protocols.channel import OVERHEAD, Channel
from craftnet.protocols.cookies import Address, CookieOven
from craftnet.protocols.deadlines import Deadlines
from craftnet.protocols.keys import NONCE_SIZE, client_key, server_key
from craftnet.protocols.layouts import HANDSHAKE_SIZE
from craftnet.protocols.peer import Peer
from craftnet.protocols.records import Challenge, CloseReason, Kind
from craftnet.protocols.tickets import Ticket, TicketStore
from craftnet.state import MaterialsState, SessionState

MAX_SIZE = 1200
"""The longest datagram sent or taken: what every IPv6 path carries, less the headers below."""

_FINAL = frozenset({CloseReason.ENDED, CloseReason.EXPIRED, CloseReason.NOT_FOUND})  # no coming back after these.


class Send(NamedTuple):
    """Send this datagram there."""

    datagram: bytes
    address: Address


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
        heartbeat: seconds between heartbeats.
        count: is told in one word what became of each datagram.
    """

    def __init__(
        self,
        tickets: TicketStore,
        *,
        secret: bytes,
        random: Callable[[int], bytes],
        heartbeat: float,
        count: Callable[[str], None],
    ) -> None:
        self._tickets = tickets
        self._oven = CookieOven(secret)
        self._random = random
        self._heartbeat = heartbeat
        self._count = count
        self._peers: dict[int, tuple[Peer, Ticket]] = {}
        self._deadlines: Deadlines[Peer] = Deadlines()
        sealed = dict.fromkeys((Kind.ACK, Kind.HEARTBEAT, Kind.RESYNC, Kind.CLOSE), self._sealed)
        handlers = {Kind.HELLO: self._hello, Kind.RESPONSE: self._response, **sealed}
        self._handlers = {codec.first_byte(kind): handler for kind, handler in handlers.items()}

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
            effects += self._settle(peer, [peer.abandon(CloseReason.GOING_AWAY)], now)
        return effects

    def _hello(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        ticket, content = self._authenticated(datagram, now)
        hello = codec.decode_hello(content)
        cookie = self._oven.bake(address, hello.connection_id, hello.client_nonce, self._random(NONCE_SIZE), now)
        challenge = Challenge(hello.connection_id, hello.client_nonce, cookie)
        return [Send(ticket.handshake_key.sign(codec.encode_challenge(challenge)), address)]

    def _response(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        ticket, content = self._authenticated(datagram, now)
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
            replaced.finished = CloseReason.REPLACED
            effects += self._settle(replaced, [], now)
        secret = ticket.token.secret
        channel = Channel(
            response.connection_id,
            outgoing=server_key(secret, response.client_nonce, cookie.server_nonce),
            incoming=client_key(secret, response.client_nonce, cookie.server_nonce),
        )
        peer = Peer(
            response.connection_id,
            ticket.session_id,
            address,
            channel,
            packet_size=ticket.packet_size,
            heartbeat=self._heartbeat,
            expires=ticket.expires,
            now=now,
        )
        peer.pulse.round_trip.measured(now - cookie.issued_us / 1_000_000)
        self._tickets.occupy(ticket, cookie.issued_us)
        self._peers[response.connection_id] = (peer, ticket)
        effects.append(Opened(peer))
        return effects + self._settle(peer, peer.tick(now), now)

    def _authenticated(self, datagram: bytes, now: float) -> tuple[Ticket, bytes]:
        """Whose handshake datagram this is, and all of it before its MAC."""
        if len(datagram) != HANDSHAKE_SIZE:
            raise BadDatagram("truncated" if len(datagram) < HANDSHAKE_SIZE else "trailing")
        ticket = self._tickets.find(codec.connection_id(datagram), now)
        if ticket is None:
            raise BadDatagram("unknown_connection")
        return ticket, ticket.handshake_key.verify(datagram)

    def _sealed(self, datagram: bytes, address: Address, now: float) -> list[Effect]:
        found = self._peers.get(codec.connection_id(datagram))
        if found is None:
            raise BadDatagram("unknown_connection")
        peer = found[0]
        if address != peer.address:
            raise BadDatagram("wrong_address")
        return self._settle(peer, peer.receive(datagram, now), now)

    def _settle(self, peer: Peer, datagrams: list[bytes], now: float) -> list[Effect]:
        """What a peer sends, and its next deadline, or its end."""
        effects: list[Effect] = [Send(datagram, peer.address) for datagram in datagrams]
        if peer.finished is None:
            self._deadlines.set(peer, peer.deadline)
            return effects
        _, ticket = self._peers.pop(peer.connection_id)
        self._deadlines.discard(peer)
        self._tickets.release(ticket, now)
        if peer.finished in _FINAL:
            self._tickets.revoke(ticket)
        return [*effects, Gone(peer)]
