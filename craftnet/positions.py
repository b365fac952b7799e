"""Where in a feed a watcher is, so that it can come back, to any node, and get what it missed. Pure.

A feed tells of up to three things, each of which counts its own changes. Nodes hear of them in different orders, so a
sum would not say which state is meant. A version therefore holds what a node needs to find all three counts again.
"""

from __future__ import annotations

import re

from msgspec import Struct

from craftnet.errors import BadRequest

KEPT = 64
"""How many changes of a thing are kept for those who come back."""

REACH = 60.0
"""Seconds for which they are kept."""

OVER_UDP = ":udp"
"""What follows a position that was told over UDP."""

_EPOCH = r"[0-9A-Za-z_-]{1,64}"
_FORM = re.compile(rf"({_EPOCH}):(\d{{1,18}})({OVER_UDP})?", re.ASCII)

_BITS = 11
"""Of the counts of materials and queue. What is above them stays below 2**53, JavaScript's bound, for 2**31 changes."""

_SUM_SHIFT = 2 * _BITS
_CYCLE = 1 << _BITS
_HALF = _CYCLE // 2


class Versions(Struct, frozen=True, gc=False):
    """How often each thing that a feed tells of has changed; 0 for what it does not tell of."""

    session: int = 0
    materials: int = 0
    queue: int = 0

    @property
    def total(self) -> int:
        """How many changes there were of all three."""
        return self.session + self.materials + self.queue

    @property
    def packed(self) -> int:
        """One number, which grows with every change: the sum of the counts, then the low bits of the last two."""
        materials, queue = self.materials, self.queue
        return self.session + materials + queue << _SUM_SHIFT | materials % _CYCLE << _BITS | queue % _CYCLE

    def reach(self, other: Versions) -> bool:
        """Whether nothing is newer there than here."""
        return self.session >= other.session and self.materials >= other.materials and self.queue >= other.queue


class Position(Struct, frozen=True, gc=False):
    """A position. As text: `epoch:version`, or `epoch:version:udp`.

    Attributes:
        epoch: what the version belongs to; it says nothing in another one.
        version: `Versions`, packed.
        over_udp: whether it was told over UDP, where nothing is said of queues.
    """

    epoch: str
    version: int
    over_udp: bool = False

    def __str__(self) -> str:
        return f"{self.epoch}:{self.version}{OVER_UDP if self.over_udp else ''}"


def is_epoch(text: str) -> bool:
    """Whether it has the form of one."""
    return re.fullmatch(_EPOCH, text, re.ASCII) is not None


def told_of_materials(version: int, materials: int) -> bool:
    """Whether who holds the table of materials of this version knows what is counted of them in a packed `version`."""
    return (materials - (version >> _BITS)) % _CYCLE < _HALF


def changes_in(version: int) -> int:
    """How many changes there were until `version`."""
    return version >> _SUM_SHIFT


def unpacked(version: int, near: Versions) -> Versions | None:
    """The counts that were packed into `version`, found by those of a feed of the same thing.

    They are exact if no count differs by `_HALF` or more. None if all of them together do: that is too long ago.
    """
    changes = changes_in(version)
    if abs(near.total - changes) >= _HALF:
        return None
    materials = _nearest(version >> _BITS, near.materials)
    queue = _nearest(version, near.queue)
    session = changes - materials - queue
    return Versions(session, materials, queue) if min(session, materials, queue) >= 0 else None


def _nearest(low: int, near: int) -> int:
    """The number next to `near` that ends in the low bits of `low`."""
    return near + (low - near + _HALF) % _CYCLE - _HALF


def parse_position(text: str) -> Position:
    """The reverse of `str(position)`.

    Raises:
        BadRequest: it is no position.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadRequest("resume takes the epoch and version of the last message, as in resume=6c0ffee:42.")
    return Position(match[1], int(match[2]), match[3] is not None)
