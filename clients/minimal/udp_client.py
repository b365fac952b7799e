"""The smallest client of the UDP protocol: everything of PROTOCOL.md that section 15 does not let a client omit.

    python clients/minimal/udp_client.py URL SESSION PLAYER TOKEN

It prints a line for each progress and each table of materials until the server closes the connection. It needs Python
and the package `cryptography`.
"""

import base64
import hmac
import json
import os
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STATE, ACK, HEARTBEAT, CLOSE, PATH_CHALLENGE, PATH_RESPONSE = 4, 5, 6, 8, 9, 10
STATUSES = ("active", "paused", "interrupted", "completed", "failed")
UNKNOWN = 0xFFFFFFFF
CLOCK = time.time_ns() - time.monotonic_ns()
"""Makes Unix time of a clock that is never set."""


def unix_us() -> int:
    """Microseconds, for heartbeats."""
    return (CLOCK + time.monotonic_ns()) // 1000


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    made = block = b""
    while len(made) < size:
        block = hmac.digest(key, block + info + bytes([len(made) // 32 + 1]), "sha256")
        made += block
    return made[:size]


class Keys:
    """One generation of one direction (3.1)."""

    def __init__(self, secret: bytes, salt: bytes, label: bytes, number: int = 0) -> None:
        material = hkdf(secret, salt, label, 60)
        self._aead, self._iv, self._next = AESGCM(material[:16]), material[16:28], material[28:]
        self._label, self.number = label, number
        self.lowest = 1 << 64  # the lowest sequence opened.

    def following(self) -> "Keys":
        """The next generation."""
        return Keys(self._next, b"", self._label, self.number + 1)

    def seal(self, sequence: int, header: bytes, content: bytes) -> bytes:
        """The datagram."""
        return header + self._aead.encrypt(self._nonce(sequence), content, header)

    def open(self, sequence: int, datagram: bytes) -> bytes:
        """The content. Raises InvalidTag for a forged datagram."""
        return self._aead.decrypt(self._nonce(sequence), datagram[7:], datagram[:7])

    def _nonce(self, sequence: int) -> bytes:
        return (int.from_bytes(self._iv, "big") ^ sequence).to_bytes(12, "big")


class Connection:
    """Handshake (4.2) and packet protection (3) of one connection."""

    def __init__(self, session_token: str, endpoint: str) -> None:
        octets = base64.urlsafe_b64decode(session_token + "=" * (-len(session_token) % 4))
        self.connection_id, secret = octets[:4], octets[4:]
        host, _, port = endpoint.rpartition(":")
        self._server: Any
        family, _, _, _, self._server = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._sent = self._newest = self._received = 0  # bit i of `_received`: `_newest` − i has arrived.
        self._previous: Keys | None = None
        key = hkdf(secret, b"", b"craftnet udp 1 handshake", 32)
        nonce = os.urandom(16)
        hello = b"\x41" + self.connection_id + nonce + bytes(475)
        challenge = self._exchange(hello + hmac.digest(key, hello, "sha256")[:16], lambda found: found[0] == 0x42)
        mac = hmac.digest(key, challenge[:61], "sha256")[:16]
        if challenge[1:21] != hello[1:21] or not hmac.compare_digest(challenge[61:], mac):
            raise SystemExit("the CHALLENGE is not for this HELLO")
        nonces = nonce + challenge[29:45]
        self._seals = Keys(secret, nonces, b"craftnet udp 1 client")
        self._opens = Keys(secret, nonces, b"craftnet udp 1 server")
        response = b"\x43" + challenge[1:61] + bytes(435)
        response += hmac.digest(key, response, "sha256")[:16]
        self.first = self._exchange(response, lambda found: found[0] & 31 not in (1, 2, 3))

    def _exchange(self, datagram: bytes, answers: Callable[[bytes], bool]) -> bytes:
        """Repeats a datagram until an answer arrives."""
        for pause in (0.5, 1, 2, 4, 4, 3.5):
            self._socket.sendto(datagram, self._server)
            while (found := self.receive(pause)) is not None:
                if len(found) > 30 and answers(found):
                    return found
        raise SystemExit("the server does not answer")

    def receive(self, timeout: float) -> bytes | None:
        """The next datagram, opened or not; None after `timeout` seconds."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            return self._socket.recv(65536)
        except TimeoutError:
            return None

    def send(self, kind: int, body: bytes) -> None:
        """Seals and sends a body."""
        self._sent += 1
        header = struct.pack(">B4sH", 0x40 | kind, self.connection_id, self._sent & 0xFFFF)
        acknowledgement = struct.pack(">II", self._newest & 0xFFFFFFFF, self._received >> 1 & 0xFFFFFFFF)
        self._socket.sendto(self._seals.seal(self._sent, header, acknowledgement + body), self._server)

    def open(self, datagram: bytes) -> tuple[int, int, bytes] | None:
        """Kind, sequence and body (3.2, 3.3); None for a datagram to refuse."""
        if len(datagram) < 31 or datagram[0] >> 6 != 1 or datagram[1:5] != self.connection_id:
            return None
        expected = self._newest + 1
        sequence = (expected & ~0xFFFF) + int.from_bytes(datagram[5:7], "big")
        if sequence + 0x8000 <= expected:
            sequence += 0x10000
        elif sequence > expected + 0x8000 and sequence >= 0x10000:
            sequence -= 0x10000
        behind = self._newest - sequence
        if sequence < 1 or behind >= 256 or (behind >= 0 and self._received >> behind & 1):
            return None
        keys = self._opens
        if datagram[0] >> 5 & 1 != keys.number & 1:
            late = self._previous is not None and sequence < keys.lowest
            keys = self._previous if late and self._previous else keys.following()
        try:
            content = keys.open(sequence, datagram)
        except InvalidTag:
            return None
        if keys.number > self._opens.number:
            self._previous, self._opens = self._opens, keys
        keys.lowest = min(keys.lowest, sequence)
        if behind < 0:
            self._received, self._newest, behind = self._received << -behind & (1 << 256) - 1, sequence, 0
        self._received |= 1 << behind
        newest, earlier = struct.unpack_from(">II", content)
        acknowledges_too_much = newest > self._sent or earlier.bit_length() >= max(newest, 1)
        return None if acknowledges_too_much else (datagram[0] & 31, sequence, content[8:])


def records(body: bytes) -> list[tuple[int, tuple[int, ...], list[Any]]]:
    """Tag, fields and rows of each record (6). Raises struct.error, IndexError or ValueError for an invalid STATE."""
    found: list[tuple[int, tuple[int, ...], list[Any]]] = []
    at = 0
    while at < len(body) or not body:
        tag = body[at]
        fields: tuple[int, ...] = ()
        rows: list[Any] = []
        if tag == 1:
            fields = struct.unpack_from(">IQII", body, at + 1)
            at += 21
        elif tag == 3:
            fields = struct.unpack_from(">IHHHB", body, at + 1)
            rows = [struct.unpack_from(">16sIB", body, at + 12 + 21 * number) for number in range(fields[4])]
            at += 12 + 21 * fields[4]
        elif tag == 4:
            fields = struct.unpack_from(">IHB", body, at + 1)
            rows = [struct.unpack_from(">HBIIBB", body, at + 8 + 13 * number) for number in range(fields[2])]
            at += 8 + 13 * fields[2]
        elif tag in (2, 9):  # the last field before the text is its length.
            at += 10 + body[at + 9]
        elif tag in (6, 8):
            at += 33 if tag == 6 else 2
        else:
            raise ValueError(f"there is no record {tag}")
        if at > len(body):
            raise ValueError(f"record {tag} is cut off")
        found.append((tag, fields, rows))
    return found


class Session:
    """The state of the session, from records 1, 3 and 4."""

    def __init__(self) -> None:
        self.status = ""
        self._progress_sequence = self._watermark = 0
        self._version: int | None = None  # of the table that is being assembled.
        self._totals: tuple[int, int] | None = None
        self._rows: dict[int, Any] = {}
        self._problems: dict[int, Any] = {}

    def apply(self, sequence: int, body: bytes) -> None:
        """Applies a STATE; an invalid one raises, and changes nothing."""
        for tag, fields, rows in records(body):
            if tag == 1 and sequence > self._progress_sequence:
                self._progress_sequence = sequence
                _, anchor, bits, remaining = fields
                self.status, left = STATUSES[bits >> 15 & 7], None if remaining == UNKNOWN else remaining / 1000
                show(status=self.status, percent=(bits >> 18) / 100, remaining=left, anchor=anchor)
            elif tag in (3, 4):
                self._take_part(sequence, tag, fields, rows)

    def _take_part(self, sequence: int, tag: int, fields: tuple[int, ...], rows: list[Any]) -> None:
        """A part of a table (7.2)."""
        if fields[0] != self._version:
            if sequence < self._watermark:
                return
            self._version, self._totals, self._rows, self._problems = fields[0], None, {}, {}
        self._watermark = max(self._watermark, sequence)
        if tag == 3:
            self._totals = fields[1], fields[2]
            self._rows |= enumerate(rows, start=fields[3])
        else:
            self._problems |= enumerate(rows, start=fields[1])
        if (len(self._rows), len(self._problems)) == self._totals:
            table = [self._rows[number] for number in sorted(self._rows)]
            show(materials=[(material.hex(), *rest) for material, *rest in table], problems=[*self._problems.values()])


def show(**members: Any) -> None:
    """Prints a line."""
    print(json.dumps(members), flush=True)


def agree(url: str, session: str, player: str, token: str) -> dict[str, Any]:
    """…/connect (2.1), without compression: no MESSAGE then arrives."""
    body = {"player_id": player, "client_version": "1.0.0", "supported_compression": ["none"]}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}/udp/sessions/{session}/connect", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def follow(connection: Connection, interval: float) -> int:
    """Follows the session until the connection ends (4.3, 4.4); the exit status."""
    session = Session()
    datagram: bytes | None = connection.first
    last = time.monotonic()
    next_heartbeat, ack_at, beats, clock_known = 0.0, float("inf"), 0, False
    echoed = received = 0
    while True:
        opened = None if datagram is None else connection.open(datagram)
        now = time.monotonic()
        if opened is not None:
            kind, sequence, body = opened
            last = now
            if kind == STATE:
                ack_at = min(ack_at, now + 0.01)
                try:
                    session.apply(sequence, body)
                except (struct.error, IndexError, ValueError) as invalid:
                    print(f"refused a STATE: {invalid}", file=sys.stderr)
            elif kind == HEARTBEAT and len(body) == 24 and sequence > beats:
                if beats == 0:
                    next_heartbeat = 0.0  # the server's first: answered at once.
                beats, received = sequence, unix_us()
                echoed, clock_known = int.from_bytes(body[:8], "big"), clock_known or body[8:16] != bytes(8)
            elif kind == PATH_CHALLENGE and len(body) == 8:
                connection.send(PATH_RESPONSE, body)
            elif kind == CLOSE and len(body) == 1:
                connection.send(ACK, bytes(4))
                show(closed=body[0])
                return 0
        if now - last > 3 * interval:
            show(closed=None)
            return 1
        if now >= next_heartbeat:
            connection.send(HEARTBEAT, struct.pack(">QQQ", unix_us(), echoed, received))
            next_heartbeat = now + (interval if clock_known and now - last < interval else 1)
        if now >= ack_at:
            connection.send(ACK, bytes(4))  # table 0: the server then sends whole tables.
            ack_at = float("inf")
        datagram = connection.receive(min(next_heartbeat, ack_at) - now)


def main() -> int:
    """Connects and follows."""
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    agreed = agree(*sys.argv[1:])
    connection = Connection(agreed["session_token"], agreed["server_endpoint"])
    return follow(connection, agreed["heartbeat_interval"] / 1000)


if __name__ == "__main__":
    sys.exit(main())
