"""The WebSocket watchers of a process of a load run."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import time
from math import inf
from selectors import EVENT_READ, BaseSelector
from urllib.parse import urlsplit

from craftnet.client.core.address import Address
from craftnet.client.load.plan import Share
from craftnet.client.load.posting import REQUEST_TIMEOUT, LoadFailed, reason
from craftnet.client.load.watchers import SIZE, Observer, receive, stamp_arrivals
from craftnet.protocols.websocket.core import frames

QUALITY = re.compile(rb'"current_quality":(\d+)')
"""Finds a message's quality without decoding: messages are JSON without blanks, written by the same encoder."""

_TEXT, _CLOSE, _PING = 0x1, 0x8, 0x9


class _WebSocketWatcher:
    """One connection."""

    __slots__ = ("accepted", "began", "connection", "number", "octets", "open")

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.began = time.time()
        self.octets = b""
        self.accepted = self.open = False


class WebSocketWatchers:
    """See `Watchers`."""

    def __init__(self, selector: BaseSelector, share: Share, observer: Observer) -> None:
        self._selector = selector
        self._share = share
        self._observer = observer
        self._address = Address(share.plan.url)
        self._tls = ssl.create_default_context() if self._address.secure else None
        self._watchers: set[_WebSocketWatcher] = set()
        self.opening = 0

    @property
    def deadline(self) -> float:
        """See `Watchers`."""
        return inf

    def open(self, number: int) -> None:
        """Sends the handshake; the selector does the rest."""
        address = self._address
        try:
            connection = socket.create_connection((address.host, address.port), REQUEST_TIMEOUT)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=address.host)
        except OSError as error:
            raise LoadFailed(f"cannot connect to {address.host}:{address.port}: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stamp_arrivals(connection)
        watcher = _WebSocketWatcher(number, connection)
        self._watchers.add(watcher)
        self.opening += 1
        connection.sendall(self._handshake(number))
        connection.setblocking(False)
        self._selector.register(
            connection, EVENT_READ, (self._read_plain if self._tls is None else self._read, watcher)
        )

    def tick(self, now: float) -> None:
        """Nothing is ever due."""

    def close(self) -> None:
        """Closes all connections."""
        for watcher in self._watchers:
            self._selector.unregister(watcher.connection)
            watcher.connection.close()
        self._watchers.clear()

    def _handshake(self, number: int) -> bytes:
        share = self._share
        url = urlsplit(self._address.feed(share.session(number), share.player(number)))
        return (
            f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"Authorization: Bearer {share.token}\r\n\r\n"
        ).encode()

    def _read_plain(self, watcher: _WebSocketWatcher) -> None:
        try:
            octets, when = receive(watcher.connection)
        except BlockingIOError:
            return
        except OSError as error:
            self._over(watcher, str(error))
            return
        self._take(watcher, octets, when)

    def _read(self, watcher: _WebSocketWatcher) -> None:
        """Reads; with TLS everything that OpenSSL has, since the selector does not see it. Uses the time of reading."""
        while True:
            try:
                octets = watcher.connection.recv(SIZE)
            except (ssl.SSLWantReadError, BlockingIOError):
                return
            except OSError as error:
                self._over(watcher, str(error))
                return
            self._take(watcher, octets, time.time())
            if not octets:
                return

    def _take(self, watcher: _WebSocketWatcher, octets: bytes, when: float) -> None:
        if not octets:
            self._over(watcher, "the server closed the connection")
            return
        self._observer.received(watcher.number, len(octets))
        if watcher.octets:
            octets = watcher.octets + octets
        if not watcher.accepted:
            head, found, octets = octets.partition(b"\r\n\r\n")
            if not found:
                watcher.octets = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                status = head.partition(b"\r\n")[0].decode(errors="replace").removeprefix("HTTP/1.1 ")
                self._over(watcher, f"{status}: {reason(octets)}")
                return
            watcher.accepted = True
        found_frames, watcher.octets = frames.split(octets)
        for opcode, payload in found_frames:
            self._frame(watcher, opcode, payload, when)

    def _frame(self, watcher: _WebSocketWatcher, opcode: int, payload: bytes, when: float) -> None:
        if opcode == _TEXT:
            found = QUALITY.search(payload)
            if found is not None:
                self._observer.arrived(watcher.number, int(found[1]), when)
            if not watcher.open:
                watcher.open = True
                self.opening -= 1
                self._observer.connected(when - watcher.began)
        elif opcode == _PING:
            # Masked, as every frame of a client must be, with a mask that changes nothing.
            watcher.connection.send(bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload)
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self._over(watcher, f"close code {code}: {payload[2:].decode(errors='replace')}")

    def _over(self, watcher: _WebSocketWatcher, why: str) -> None:
        if watcher not in self._watchers:
            return
        self._watchers.remove(watcher)
        self._selector.unregister(watcher.connection)
        watcher.connection.close()
        if watcher.open:
            self._observer.ended(watcher.number, why)
        else:
            self.opening -= 1
            self._observer.refused(watcher.number, why)
