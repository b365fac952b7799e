"""The UDP watchers of a process of a load run, all on one socket for each address of the server."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from selectors import EVENT_READ, BaseSelector
from typing import NamedTuple

from craftnet.client.core.address import Address
from craftnet.client.load.plan import Share
from craftnet.client.load.posting import LoadFailed, Poster
from craftnet.client.load.watchers import Observer, receive, stamp_arrivals
from craftnet.client.transports.address_resolution import endpoint
from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.contract.messages import MALFORMED, JsonDecoder
from craftnet.protocols.udp.client.connection import ClientConnection, Closed, Output
from craftnet.protocols.udp.client.received_state import ProgressChanged
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import agreed
from craftnet.protocols.wire.codec import connection_id
from craftnet.runtime.timers import Deadlines

DATAGRAMS_PER_READ = 256
"""Datagrams that are read before any is processed; the kernel's buffer has room for more meanwhile."""

BUFFER = 8 << 20
"""Octets that the kernel is asked to buffer; it may buffer less."""

HEADER_SIZE = 28
"""Octets of the IPv4 and UDP headers, counted with each datagram."""

_decoder = JsonDecoder(UdpConnectResponse)


class _UdpWatcher:
    """One connection."""

    __slots__ = ("began", "connection", "number", "open", "socket")

    def __init__(self, number: int, began: float, connection: ClientConnection, line: socket.socket) -> None:
        self.number = number
        self.began = began
        self.connection = connection
        self.socket = line
        self.open = False


class _Arrival(NamedTuple):
    datagram: bytes
    when: float


class DatagramWatchers:
    """See `Watchers`.

    Arguments:
        poster: requests the connections; unused otherwise until all are open.
    """

    def __init__(self, selector: BaseSelector, share: Share, observer: Observer, poster: Poster) -> None:
        self._selector = selector
        self._share = share
        self._observer = observer
        self._poster = poster
        self._address = Address(share.plan.url)
        self._waiting: deque[int] = deque()
        self._sockets: dict[str, socket.socket] = {}
        self._watchers: dict[int, _UdpWatcher] = {}
        self._deadlines: Deadlines[int] = Deadlines()
        self.opening = 0

    @property
    def deadline(self) -> float:
        """See `Watchers`."""
        return self._deadlines.earliest

    def open(self, number: int) -> None:
        """Requests the connection; one request after another."""
        self.opening += 1
        self._waiting.append(number)
        self._ask()

    def tick(self, now: float) -> None:
        """Acknowledges, sends heartbeats, repeats handshakes."""
        for name in self._deadlines.due(now):
            watcher = self._watchers.get(name)
            if watcher is not None:
                self._do(name, watcher, watcher.connection.tick(now), now)

    def close(self) -> None:
        """Sends CLOSE on all connections."""
        for watcher in self._watchers.values():
            for datagram in watcher.connection.close().datagrams:
                _send(watcher.socket, datagram)
        self._watchers.clear()
        for line in self._sockets.values():
            self._selector.unregister(line)
            line.close()
        self._sockets.clear()

    def _ask(self) -> None:
        if not self._waiting or not self._poster.idle:
            return
        number, share, began = self._waiting.popleft(), self._share, time.time()
        request = {
            "player_id": str(share.player(number)),
            "client_version": "1.0.0",
            "supported_compression": ["none"],
        }

        def answered(body: bytes, _: float) -> None:
            self._begin(number, began, body)
            self._ask()

        url = self._address.connect(share.session(number))
        self._poster.post(url, json.dumps(request).encode(), "application/json", answered)

    def _begin(self, number: int, began: float, body: bytes) -> None:
        try:
            answer = _decoder.decode(body)
            token = SessionToken.parse(answer.session_token)
        except (*MALFORMED, ValueError) as error:
            raise LoadFailed(f"the answer to the UDP connect request is malformed: {error}") from error
        session, now = {answer.session_index: self._share.session(number)}, time.time()
        connection = ClientConnection(
            token, session, heartbeat=answer.heartbeat_interval / 1000, agreement=agreed(answer)
        )
        watcher = _UdpWatcher(number, began, connection, self._socket(answer.server_endpoint))
        self._watchers[token.connection_id] = watcher
        self._do(token.connection_id, watcher, connection.start(now), now)

    def _socket(self, name: str) -> socket.socket:
        found = self._sockets.get(name)
        if found is not None:
            return found
        server = endpoint(name)
        if server is None:
            raise LoadFailed(f"the server's answer names no UDP endpoint: {name!r}")
        try:
            family, kind, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
            line = socket.socket(family, kind)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            stamp_arrivals(line)
            line.connect(address)
        except OSError as error:
            raise LoadFailed(f"cannot send datagrams to {name}: {error}") from error
        line.setblocking(False)
        self._sockets[name] = line
        self._selector.register(line, EVENT_READ, (self._read, line))
        return line

    def _read(self, line: socket.socket) -> None:
        arrivals: list[_Arrival] = []
        try:
            while len(arrivals) < DATAGRAMS_PER_READ:
                arrivals.append(_Arrival(*receive(line)))
        except BlockingIOError:
            pass
        except OSError as error:
            raise LoadFailed(f"cannot receive datagrams: {error}") from error
        now = time.time()
        for datagram, when in arrivals:
            name = connection_id(datagram)
            watcher = self._watchers.get(name)
            if watcher is not None:
                self._observer.received(watcher.number, len(datagram) + HEADER_SIZE)
                self._do(name, watcher, watcher.connection.receive(datagram, now), when)

    def _do(self, name: int, watcher: _UdpWatcher, output: Output, when: float) -> None:
        """Sends, reports, and schedules the next call. `when`: the moment at which the cause arrived."""
        for datagram in output.datagrams:
            _send(watcher.socket, datagram)
        for event in output.events:
            if isinstance(event, ProgressChanged):
                if not watcher.open:
                    watcher.open = True
                    self.opening -= 1
                    self._observer.connected(when - watcher.began)
                if event.progress.quality is not None:
                    self._observer.arrived(watcher.number, event.progress.quality, when)
            elif isinstance(event, Closed):
                self._over(name, watcher, event.reason.name.lower())
                return
        self._deadlines.set(name, watcher.connection.deadline)

    def _over(self, name: int, watcher: _UdpWatcher, why: str) -> None:
        del self._watchers[name]
        if watcher.open:
            self._observer.ended(watcher.number, why)
        else:
            self.opening -= 1
            self._observer.refused(watcher.number, why)


def _send(line: socket.socket, datagram: bytes) -> None:
    """Sends a datagram if there is room; the protocol repeats what is lost."""
    try:
        line.send(datagram)
    except OSError:
        return
