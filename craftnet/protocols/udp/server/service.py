"""The UDP side of the service: answers …/connect, runs the socket, and reports refused datagrams. No rules here."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import cast
from uuid import UUID

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.http_bodies import USUAL_TOLERANCE, UdpConnectRequest, UdpConnectResponse
from craftnet.crafting.progress import Tolerance
from craftnet.errors import BadRequest, shutting_down
from craftnet.interfaces import IAuditLog, IPlayerSessions
from craftnet.limits.client_address import ServerUrl
from craftnet.observe.audit.recorder import NoAudit
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.key_exchange import Encapsulation
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, agree
from craftnet.protocols.udp.server.connection import ServerConnection, Terms
from craftnet.protocols.udp.server.datagram_port import DatagramPort
from craftnet.protocols.udp.server.datagram_protocol import SessionFeeds, UdpServer
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE, Dispatcher
from craftnet.protocols.udp.server.key_log import KeyLog
from craftnet.protocols.udp.server.player_reports import SeenState, what_was_seen
from craftnet.protocols.udp.server.security_events import ConnectionAudit
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.udp.server.tickets import TOKEN_RENEWAL, Ticket
from craftnet.protocols.wire.records import ProgressRecord
from craftnet.runtime.addresses import HostPort

REFUSAL_LOG_INTERVAL = 10.0
"""Minimum seconds between two log lines."""

HARMLESS = frozenset({"accepted", "unsent"})
"""Outcomes that are not refusals."""


class RefusalLog:
    """Counts the outcomes of datagrams, and summarises refusals now and then."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._next = -inf

    def count(self, outcome: str, now: float) -> str | None:
        """Counts one outcome; returns the line to log, when one is due."""
        if outcome in HARMLESS:
            return None
        self._counted[outcome] += 1
        if now < self._next:
            return None
        self._next = now + REFUSAL_LOG_INTERVAL
        counts = ", ".join(f"{number} {name}" for name, number in self._counted.most_common())
        self._counted.clear()
        return f"datagrams refused: {counts}"


class IReactor(IClock, IReactorFDSet):
    """The parts of the reactor that it needs."""


class UdpService(Service):
    """The UDP side of the service: admits players, and runs the socket.

    Arguments:
        listen: as in `DatagramPort`.
        public: the address that clients receive; None: the interface listened on, or the host of their request.
        feeds: the hub.
        reactor: IClock and IReactorFDSet.
        heartbeat_ms: 1000 to 30000.
        full_sync, key_rotation, congestion: as in `craftnet.protocols.udp.server.connection.Terms`.
        token_renewal: seconds after which a session_token is replaced.
        path_size: octets of the longest datagram that the network carries to every client.
        tolerance: points of progress by which a watcher's copy may be wrong; clients learn it.
        region: where this node is, for answers; None: not said.
        exchanges_keys: whether it answers encapsulation keys.
        key_log: where the keys of connections are written; None: nowhere.
        audit: records security events.
        forecasts: whether the feeds forecast crafts, so that clients can ask for the expected progress.
        sessions: knows the sessions of a player, for clients that ask for all of them; None: no client gets all.
    """

    name = "udp"
    _log = Logger()

    def __init__(
        self,
        listen: HostPort,
        public: HostPort | None,
        feeds: SessionFeeds,
        metrics: Metrics,
        reactor: IReactor,
        *,
        heartbeat_ms: int = round(Terms().heartbeat * 1000),
        full_sync: float = Terms().full_sync,
        key_rotation: float = Terms().key_rotation,
        congestion: Congestion = Congestion.LOSS,
        token_renewal: float = TOKEN_RENEWAL,
        path_size: int = PATH_SIZE,
        tolerance: float = Tolerance().percent,
        region: str | None = None,
        exchanges_keys: bool = False,
        key_log: KeyLog | None = None,
        audit: IAuditLog | None = None,
        forecasts: bool = False,
        sessions: IPlayerSessions | None = None,
    ) -> None:
        self._listen = listen
        self._public = public
        self._reactor = reactor
        self._heartbeat_ms = heartbeat_ms
        self._path_size = path_size
        self._region = region
        self._forecasts = forecasts
        self._exchanges_keys = exchanges_keys
        # msgspec leaves out the default itself, but not a value equal to it.
        self._tolerance = USUAL_TOLERANCE if tolerance == USUAL_TOLERANCE else tolerance
        self.tickets = TicketStore(os.urandom, renewal=token_renewal)
        self._metrics = metrics
        self._refusals = RefusalLog()
        self._security = ConnectionAudit(audit or NoAudit())
        self.endpoint = Dispatcher(
            self.tickets,
            secret=os.urandom(32),
            random=os.urandom,
            terms=Terms(heartbeat_ms / 1000, full_sync, key_rotation, congestion),
            count=self._count,
            measured=self._measured,
            forged=self._security.forged,
            log_keys=key_log,
            counts=metrics.datagrams,
        )
        self.server = UdpServer(self.endpoint, feeds, metrics, reactor, sessions)
        self._listening: DatagramPort | None = None
        self._stopping = False

    @property
    def is_open(self) -> bool:
        """Whether the socket receives datagrams."""
        return self._listening is not None and bool(self._listening.connected)

    @property
    def address(self) -> str:
        """The address listened on: "host:port"."""
        return str(self._bound)

    @property
    def _bound(self) -> HostPort:
        if self._listening is None:
            return self._listen
        bound = cast("IPv4Address | IPv6Address", self._listening.getHost())  # a UDP port has one of them.
        return HostPort(self._listen.host, bound.port)

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        server: ServerUrl | None = None,
        bearer: Principal | None = None,
    ) -> UdpConnectResponse:
        """Admits a player, who may watch this session until `expires` (Unix seconds).

        Over the connection that the request names, if possible; else over a new one.

        Arguments:
            server: the URL by which the player reaches this server; names the endpoint when none is configured.
            bearer: the bearer of the token, for revocation.

        Raises:
            BadRequest: the encapsulation key is invalid.
            TooManyRequests: there are too many already.
            Unavailable: the service is stopping; a kept-alive HTTP connection may still ask.
        """
        if self._stopping:
            raise shutting_down()
        token = _named(request)
        joined = None if token is None else self.server.join(token, session_id, player_id, expires, bearer)
        if joined is not None:
            ticket, permit = joined
            return self._answer(ticket, request.session_token or "", permit.index, server)
        exchange = self._exchange(request)
        agreement = agree(request.supported_compression, request.max_packet_size, self._path_size)
        ticket = self.tickets.issue(session_id, player_id, agreement, expires, now, bearer)
        answered = ticket.token
        if exchange is not None:
            ticket.exchange(exchange.secret(answered))
        ticket.expects = request.expected and self._forecasts
        ticket.follows = request.all_sessions and self.server.followed is not None
        ticket.client = sys.intern(request.client_version)  # nearly all clients have one of a few versions.
        return self._answer(ticket, answered.text, 0, server, exchange)

    def _exchange(self, request: UdpConnectRequest) -> Encapsulation | None:
        if not self._exchanges_keys or request.encapsulation_key is None:
            return None
        try:
            return Encapsulation.to(request.encapsulation_key)
        except ValueError as error:
            raise BadRequest(f"{error}.") from None

    def _answer(
        self,
        ticket: Ticket,
        token: str,
        index: int,
        server: ServerUrl | None,
        exchange: Encapsulation | None = None,
    ) -> UdpConnectResponse:
        agreement = ticket.agreement
        return UdpConnectResponse(
            session_token=token,
            session_index=index,
            server_endpoint=str(self._public or HostPort(self._name(server), self._bound.port)),
            compression_enabled=agreement.compression is not None,
            compression="none" if agreement.compression is None else agreement.compression.name,
            negotiated_packet_size=agreement.content,
            heartbeat_interval=self._heartbeat_ms,
            progress_tolerance=self._tolerance,
            ciphertext=None if exchange is None else exchange.ciphertext,
            region=self._region,
            all_sessions=ticket.follows,
            expected=ticket.expects,
        )

    def names_connection(self, request: UdpConnectRequest, now: float) -> bool:
        """Whether the request names a connection of this node."""
        token = _named(request)
        return token is not None and self.tickets.holder(token, now) is not None

    def seen(self, report: ProgressRecord, player_id: UUID, now: float) -> SeenState | None:
        """What the player had received at the time of the report; None without a UDP connection."""
        found = self.endpoint.sent_state_of(report.session_id, player_id)
        if found is None:
            return None
        peer, sent_state = found
        return what_was_seen(report, sent_state.sightings, peer.conditions, now)

    def drain(self) -> int:
        """Accepts no further connections, and closes the open ones; returns how many."""
        self._stopping = True
        open_connections = len(self.endpoint)
        self.server.shut_down()
        return open_connections

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """As `UdpServer.enforce`."""
        return self.server.enforce(covered)

    def _count(self, outcome: str) -> None:
        self._metrics.datagram(outcome)
        if outcome in HARMLESS:
            return
        line = self._refusals.count(outcome, self._reactor.seconds())
        if line is not None:
            self._log.info("{line}", line=line)

    def _measured(self, peer: ServerConnection) -> None:
        self._security.heartbeat(peer)
        conditions = peer.conditions
        self._metrics.paths.measured(
            round_trip=conditions.round_trip,
            variation=conditions.variation,
            jitter=conditions.jitter,
            offset=conditions.offset,
            loss_out=conditions.loss_out,
            loss_in=conditions.loss_in,
            reordered=conditions.reordered,
            rate=peer.send_queue.pace.rate,
            queued=peer.send_queue.depth,
        )

    def _name(self, server: ServerUrl | None) -> str:
        """The host that clients receive without --public-udp.

        That of --public-url, or what a trusted proxy reports; otherwise the one interface listened on, or else the host
        of the request.
        """
        if server is not None and server.stated:
            return server.host
        if self._listen.host not in ("", "0.0.0.0", "::"):
            return self._listen.host.partition("%")[0]  # our zones mean nothing to clients.
        return "localhost" if server is None else server.host

    def privilegedStartService(self) -> None:
        """Opens the socket. Raises CannotListenError."""
        # One byte more than is accepted, so that a longer datagram is recognised instead of being cut.
        self._listening = DatagramPort(self._listen, self.server, MAX_RECEIVED_SIZE + 1, self._reactor)
        self._listening.startListening()

    def stopService(self) -> Deferred[None] | None:
        """Closes all connections and the socket."""
        super().stopService()
        self._stopping = True
        if self._listening is None:
            return None
        self.server.shut_down()
        listening, self._listening = self._listening, None
        return cast("Deferred[None] | None", listening.stopListening())


def _named(request: UdpConnectRequest) -> SessionToken | None:
    """The connection that the client names; an invalid session_token names none."""
    if request.session_token is None:
        return None
    try:
        return SessionToken.parse(request.session_token)
    except ValueError:
        return None
