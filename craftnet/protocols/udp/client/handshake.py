"""The client's side of the handshake: what to send to which address of the server, and the resulting keys. Sans-I/O.

HELLO goes to each address in turn, each with its own nonce, so that a CHALLENGE shows which of them answers; everything
after it goes there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.heartbeat import HANDSHAKE_RETRY, Heartbeats
from craftnet.protocols.udp.core.keys import NONCE_SIZE, HandshakeKey, SessionToken, client_key, server_key
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import Challenge, ChallengeResponse, Hello

HANDSHAKE_TIMEOUT = 15.0
"""Maximum seconds for the whole handshake."""

LAST_RETRY = 4.0
"""Maximum seconds between repetitions of a datagram: `HANDSHAKE_RETRY`, doubled each time, up to this."""

CHALLENGE_SIZE = 77
"""Bytes of a CHALLENGE, with its MAC."""

RESPONSES = 3
"""Times that a RESPONSE is sent before the handshake starts over with a new HELLO."""


class ClientHandshake:
    """The handshake of one connection.

    Arguments:
        random: returns that many random bytes.
        servers: the number of the server's possible addresses.
        pulse: takes the handshake's measurements.

    Attributes:
        server: the address for the newest datagram, from 0.
        channel: the connection's packet protection, once there are keys; None before.
    """

    def __init__(self, token: SessionToken, random: Callable[[int], bytes], servers: int, pulse: Heartbeats) -> None:
        self.server = 0
        self.channel: PacketProtection | None = None
        self._token = token
        self._key = HandshakeKey.of(token.secret)
        self._random = random
        self._servers = servers
        self._pulse = pulse
        self._first = 0  # the address to try first.
        self._nonces: list[bytes] = []  # the client's, one for each address.
        self._sent_at = [0.0] * servers  # when the newest HELLO was sent there.
        self._response = b""
        self._sends = 0  # of the datagram that waits for an answer.
        self._send_at = self._give_up_at = inf

    @property
    def deadline(self) -> float:
        """When to call `send` next, Unix seconds."""
        return min(self._send_at, self._give_up_at)

    def begin(self, now: float) -> None:
        """Schedules the first datagram."""
        self._give_up_at = now + HANDSHAKE_TIMEOUT
        self._start(now)

    def failed(self, now: float) -> bool:
        """Whether it has taken too long."""
        return now >= self._give_up_at

    def send(self, now: float) -> bytes | None:
        """The datagram that is due at `now`, if any; it goes to `server`."""
        if now < self._send_at:
            return None
        if self.channel is not None and self._sends == RESPONSES:
            self._first = (self.server + 1) % self._servers
            self._start(now)
        if self.channel is not None:
            datagram, pauses = self._response, self._sends
        else:
            self.server = (self._first + self._sends) % self._servers
            self._sent_at[self.server] = now
            hello = Hello(self._token.connection_id, self._nonces[self.server])
            datagram, pauses = self._key.sign(codec.encode_hello(hello)), self._sends // self._servers
        self._sends += 1
        self._send_at = now + min(LAST_RETRY, HANDSHAKE_RETRY * 2**pauses)
        return datagram

    def challenged(self, datagram: bytes, now: float) -> None:
        """Accepts a CHALLENGE: derives the keys, and schedules a RESPONSE.

        Raises:
            BadDatagram: it is not from the server, or does not answer a pending HELLO.
        """
        if len(datagram) != CHALLENGE_SIZE:
            raise BadDatagram("truncated" if len(datagram) < CHALLENGE_SIZE else "trailing")
        if codec.connection_id(datagram) != self._token.connection_id:
            raise BadDatagram("unknown_connection")
        challenge: Challenge = codec.decode_challenge(self._key.verify(datagram))
        if self.channel is not None or challenge.client_nonce not in self._nonces:
            raise BadDatagram("repeated")
        server, cookie = self._nonces.index(challenge.client_nonce), challenge.cookie
        if self._sends <= self._servers:  # otherwise it is unknown which HELLO was answered (RFC 6298 section 3).
            delay = now - self._sent_at[server]
            self._pulse.sampled(delay, cookie.issued_us / 1_000_000 + delay / 2 - now)
        self.server = server
        secret = self._token.secret
        self.channel = PacketProtection.of(
            self._token.connection_id,
            outgoing=client_key(secret, challenge.client_nonce, cookie.server_nonce),
            incoming=server_key(secret, challenge.client_nonce, cookie.server_nonce),
        )
        response = ChallengeResponse(self._token.connection_id, challenge.client_nonce, cookie)
        self._response = self._key.sign(codec.encode_response(response))
        self._sends, self._send_at = 0, now

    def _start(self, now: float) -> None:
        """Starts, or starts over."""
        self.channel = None
        self._nonces = [self._random(NONCE_SIZE) for _ in range(self._servers)]
        self._sends, self._send_at = 0, now
