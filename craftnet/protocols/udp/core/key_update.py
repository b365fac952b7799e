"""The generation of keys that seals or opens a datagram; the key phase is the lowest bit of the generation. Pure.

Each side updates its own direction, and only once the other side has shown that it follows, as in RFC 9001 section 6.
"""

from __future__ import annotations

from math import inf

from craftnet.protocols.udp.core.keys import TrafficKey

KEY_UPDATE_PERIOD = 600.0
"""Seconds after which a generation is replaced, unless a server is configured otherwise …"""

MAX_DATAGRAMS_PER_KEY = 1 << 20
"""… or after this many datagrams: far below what AES-GCM allows under one key (NIST SP 800-38D section 8.3)."""


class SealingKeys(TrafficKey, eq=False, gc=False):
    """The keys of sent datagrams: those of the present generation, and when they are replaced.

    Attributes:
        phase: the lowest bit of the generation.
        began: the first sequence of this generation.
        updated: whether the generation changed since this was last set to False.
    """

    phase: int = 0
    began: int = 1
    updated: bool = False
    _until: float = inf

    def renew(self, upcoming: int, acknowledged: int, now: float, period: float) -> None:
        """Moves to the next generation with the sequence `upcoming`, if that is due.

        Arguments:
            acknowledged: the newest sequence that the other side has received.
            period: seconds after which a generation is replaced.
        """
        if self._until == inf:
            self._until = now + period
        if acknowledged >= self.began and (now >= self._until or upcoming - self.began >= MAX_DATAGRAMS_PER_KEY):
            self.replace(self.successor())
            self.phase ^= 1
            self.updated = True
            self.began, self._until = upcoming, now + period


class OpeningKeys(TrafficKey, eq=False, gc=False):
    """The keys of received datagrams: the present, the previous and, once a datagram claims to use them, the next.

    Attributes:
        phase: the lowest bit of the present generation.
        began: the lowest sequence opened in this generation.
        updated: whether the generation changed since this was last set to False.
    """

    phase: int = 0
    began: int = 1
    updated: bool = False
    _previous: TrafficKey | None = None
    _following: TrafficKey | None = None

    def open_in(self, phase: int, sequence: int, header: bytes, sealed: bytes) -> bytes:
        """As `open`, with the keys of this phase. Only an authentic datagram changes anything.

        Raises:
            BadDatagram: it is not authentic.
        """
        if phase == self.phase:
            content = self.open(sequence, header, sealed)
            if sequence < self.began:
                self.began = sequence
            return content
        if sequence < self.began and self._previous is not None:
            return self._previous.open(sequence, header, sealed)
        if self._following is None:  # derived once, however many datagrams claim it.
            self._following = self.successor()
        content = self._following.open(sequence, header, sealed)
        self._previous = TrafficKey.starting(self)
        self.replace(self._following)
        self._following = None
        self.phase, self.began, self.updated = phase, sequence, True
        return content
