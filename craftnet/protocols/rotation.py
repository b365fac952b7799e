"""Which generation of keys seals, and which opens, a datagram; its key phase is the lowest bit of the generation. Pure.

Each side rotates its own direction, and only once the other side has shown that it follows, as in RFC 9001 section 6.
"""

from __future__ import annotations

from math import inf

from craftnet.protocols.keys import TrafficKey

PERIOD = 600.0
"""Seconds after which a generation is replaced …"""

DATAGRAMS = 1 << 20
"""… or after this many datagrams: far below what AES-GCM allows under one key (NIST SP 800-38D section 8.3)."""


class SealingKeys:
    """The keys of what goes out."""

    __slots__ = ("_began", "_confirmed", "_key", "_until", "phase")

    def __init__(self, key: TrafficKey) -> None:
        self.phase = 0
        self._key = key
        self._began = 1  # the first sequence under this generation.
        self._confirmed = False
        self._until = inf

    def seal(self, sequence: int, header: bytes, content: bytes) -> bytes:
        """As in `TrafficKey`."""
        return self._key.seal(sequence, header, content)

    def acknowledged(self, newest: int) -> None:
        """The other side has received the datagram `newest`."""
        if newest >= self._began:
            self._confirmed = True

    def renew(self, upcoming: int, now: float) -> None:
        """Go on to the next generation with the sequence `upcoming`, if that is due."""
        if self._until == inf:
            self._until = now + PERIOD
        if self._confirmed and (now >= self._until or upcoming - self._began >= DATAGRAMS):
            self._key = self._key.successor()
            self.phase ^= 1
            self._began, self._confirmed, self._until = upcoming, False, now + PERIOD


class OpeningKeys:
    """The keys of what comes in: those of now, those just before, and, once somebody claims to use them, the next."""

    __slots__ = ("_began", "_following", "_key", "_phase", "_previous")

    def __init__(self, key: TrafficKey) -> None:
        self._phase = 0
        self._key = key
        self._previous: TrafficKey | None = None
        self._following: TrafficKey | None = None
        self._began = 1  # the lowest sequence seen under this generation.

    def open(self, phase: int, sequence: int, header: bytes, sealed: bytes) -> bytes:
        """As in `TrafficKey`. Only what is authentic moves anything on.

        Raises:
            BadDatagram: it is not.
        """
        if phase == self._phase:
            content = self._key.open(sequence, header, sealed)
            self._began = min(self._began, sequence)
            return content
        if sequence < self._began and self._previous is not None:
            return self._previous.open(sequence, header, sealed)
        if self._following is None:  # made once, however many claim it.
            self._following = self._key.successor()
        content = self._following.open(sequence, header, sealed)
        self._previous, self._key, self._following = self._key, self._following, None
        self._phase, self._began = phase, sequence
        return content
