"""One UDP connection and its watched sessions: a Twisted shell around `craftnet.protocols.udp.client.connection`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from uuid import UUID

from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from craftnet.client.core import endings
from craftnet.client.core.connection_quality import ConnectionQuality, error_bound
from craftnet.client.core.endings import Ending
from craftnet.client.core.interfaces import ILinkListener
from craftnet.client.transports.address_resolution import Server, local_address
from craftnet.client.transports.translation import Translation
from craftnet.crafting.progress import Progress
from craftnet.protocols.udp.client.connection import ClientConnection, Closed, Connected, Event, Output
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged, SessionAdded, SessionEnded
from craftnet.protocols.udp.core.key_exchange import naming

ROUTE_INTERVAL = 1.0
"""Seconds between two checks of the local address."""


class _Watched:
    """A session and its listener."""

    def __init__(self, index: int, listener: ILinkListener, translation: Translation) -> None:
        self.index = index
        self.listener = listener
        self.translation = translation
        self.progress: Progress | None = None
        self.line: ConnectionQuality | None = None

    @property
    def done(self) -> bool:
        """Whether the craft is done or has failed."""
        return self.progress is not None and self.progress.status.terminal


class UdpSocket(DatagramProtocol):
    """The socket of one connection and the timer of its state machine.

    Arguments:
        servers: the server's possible addresses, as many as `initiator` tries.
        tolerance: the server's tolerance, points of progress.
        answer_timeout: seconds within which the server must answer with datagrams.
        closed: called once, when the connection has ended.
        local: the local address from which datagrams to a server leave, as far as the system knows it.
        exchanged: whether the secret follows from an exchange of keys.
        follow: called with each session that the server has added by itself; the connection then stays open until the
            server ends it. None where the server adds none.

    Attributes:
        joined: the index of each of those sessions.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        servers: Sequence[Server],
        connection: ClientConnection,
        tolerance: float,
        answer_timeout: float,
        closed: Callable[[UdpSocket], None],
        local: Callable[[Server], str | None] = local_address,
        exchanged: bool = False,
        follow: Callable[[UUID], None] | None = None,
    ) -> None:
        self._follow = follow
        self.joined: dict[UUID, int] = {}
        self._reactor = reactor
        self._servers = servers
        self._connection = connection
        self._tolerance = tolerance
        self._answer_timeout = answer_timeout
        self._closed = closed
        self._from = local
        self._exchanged = exchanged
        self._watched: dict[UUID, _Watched] = {}
        self._expected: set[UUID] = set()
        self._leaving: set[UUID] = set()
        self._connected = False
        self._timer: IDelayedCall | None = None
        self._blocking: IDelayedCall | None = None
        self._route = LoopingCall(self._look_at_route)
        self._route.clock = reactor
        self._local: str | None = None

    @property
    def session_token(self) -> str:
        """The token by which requests name this connection. Never shown."""
        token = self._connection.token
        return (naming(token) if self._exchanged else token).text

    @property
    def sessions(self) -> set[UUID]:
        """The sessions that are watched, requested, or not yet left at the server."""
        return self._expected.union(self._watched, self._leaving, self.joined)

    @property
    def follows(self) -> bool:
        """Whether the server adds sessions by itself."""
        return self._follow is not None

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self._connection.over is not None

    def unwatched(self, session_id: UUID) -> int | None:
        """The index of a session that the server has added and that nothing watches; None where there is none."""
        return None if self.over or session_id in self._watched else self.joined.get(session_id)

    def expect(self, session_id: UUID) -> None:
        """Announces that the session was requested: `watch` or `dismiss` follows."""
        self._expected.add(session_id)

    def dismiss(self, session_id: UUID) -> None:
        """Withdraws the announcement."""
        self._expected.discard(session_id)

    def watch(self, index: int, session_id: UUID, player_id: UUID, listener: ILinkListener) -> None:
        """Delivers the session with the server's `index` to this listener, starting with the state received so far."""
        self._expected.discard(session_id)
        self._watched[session_id] = _Watched(index, listener, Translation(session_id, player_id))
        output = self._connection.watch(index, session_id)
        if self._connected:
            listener.opened()
        self._perform(output)

    def leave(self, session_id: UUID) -> None:
        """Stops delivering a session. Without listeners the connection closes, unless more sessions may join."""
        watched = self._watched.pop(session_id, None)
        if watched is None or (self._follow is not None and watched.done):
            return  # the server ends what is done when another session has joined.
        if self._watched or self.joined.keys() - {session_id}:
            self.joined.pop(session_id, None)
            self._leaving.add(session_id)
            self._perform(self._connection.leave(watched.index, self._reactor.seconds()))
        else:
            self._perform(self._connection.close())

    def close(self) -> None:
        """Closes the connection."""
        self._perform(self._connection.close())

    def startProtocol(self) -> None:
        """Sends the first HELLO: the socket is open."""
        self._blocking = self._reactor.callLater(self._answer_timeout, self._blocked)
        self._perform(self._connection.start(self._reactor.seconds()))
        self._route.start(ROUTE_INTERVAL)

    def stopProtocol(self) -> None:
        """Records that the socket is closed."""
        if self._route.running:
            self._route.stop()
        for call in (self._timer, self._blocking):
            if call is not None and call.active():
                call.cancel()

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        """Handles a datagram from any address: only the server can seal one."""
        self._perform(self._connection.receive(datagram, self._reactor.seconds()))

    def _blocked(self) -> None:
        self._end(endings.unreachable())
        self._perform(self._connection.close())

    def _look_at_route(self) -> None:
        """Notifies the state machine of a change of the local address, for instance from Wi-Fi to mobile data."""
        local = self._from(self._servers[self._connection.server])
        if local is None:
            return
        before, self._local = self._local, local
        if before is not None and local != before:
            self._perform(self._connection.moved(self._reactor.seconds()))

    def _tick(self) -> None:
        self._perform(self._connection.tick(self._reactor.seconds()))

    def _perform(self, output: Output) -> None:
        for datagram in output.datagrams:
            self._send(datagram)
        for event in output.events:
            self._dispatch(event)
        self._measure()
        self._arm()

    def _send(self, datagram: bytes) -> None:
        try:
            if self.transport is not None:
                self.transport.write(datagram, self._servers[self._connection.server])  # type: ignore[arg-type]  # zones, too.
        except (OSError, MessageLengthError):
            pass  # a full buffer or a missing route: to the protocol, a lost datagram.

    def _dispatch(self, event: Event) -> None:
        now, offset = self._reactor.seconds(), self._connection.pulse.offset
        match event:
            case Connected():
                self._connected = True
                if self._blocking is not None and self._blocking.active():
                    self._blocking.cancel()
                for watched in list(self._watched.values()):
                    watched.listener.opened()
            case ProgressChanged(session_id, _, progress):
                if (one := self._watched.get(session_id)) is not None:
                    one.progress = progress
                    one.listener.updated(one.translation.progress(event, offset, now))
            case MaterialsChanged(materials):
                if (one := self._watched.get(materials.session_id)) is not None:
                    one.listener.updated(one.translation.materials(event, offset or 0.0, now))
            case SessionEnded(session_id, reason):
                self._leaving.discard(session_id)
                self.joined.pop(session_id, None)
                if (one := self._watched.pop(session_id, None)) is not None:
                    one.listener.ended(endings.udp_closed(reason))
                if not self._watched and self._follow is None:
                    self._perform(self._connection.close())
            case SessionAdded(session_id, index):
                self.joined[session_id] = index
                if self._follow is not None:
                    self._follow(session_id)
            case Closed(reason):
                self._end(endings.udp_closed(reason))
                self._closed(self)

    def _measure(self) -> None:
        """Reports the measurements and applies the current clock offset."""
        conditions, now = self._connection.conditions, self._reactor.seconds()
        if not self._connected or conditions.offset is None:
            return
        for watched in list(self._watched.values()):
            update = watched.translation.corrected(conditions.offset, now)
            if update is not None:
                watched.listener.updated(update)
            quality = ConnectionQuality(conditions, error_bound(watched.progress, conditions, self._tolerance))
            if quality != watched.line:
                watched.line = quality
                watched.listener.measured(quality)

    def _end(self, ending: Ending) -> None:
        watched, self._watched = self._watched, {}
        for each in watched.values():
            each.listener.ended(ending)

    def _arm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        deadline = self._connection.deadline
        if deadline != inf:
            self._timer = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._tick)
