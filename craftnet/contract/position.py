"""Positions: where in a feed a watcher is, so that it can continue at any node and receive what it missed. Pure.

A feed covers up to three things, each of which counts its own changes. Nodes learn of them in different orders, so a
sum would not identify a state. A version therefore contains what a node needs to find all three counts again.
"""

from __future__ import annotations

import re

from msgspec import Struct

from craftnet.errors import BadRequest

HISTORY_LENGTH = 64
"""Changes of a thing that are kept for returning watchers."""

HISTORY_SECONDS = 60.0
"""Seconds for which they are kept."""

UDP_SUFFIX = ":udp"
"""The suffix of a position that was delivered over UDP."""

_EPOCH = r"[0-9A-Za-z_-]{1,64}"
_FORM = re.compile(rf"({_EPOCH}):(\d{{1,18}})({UDP_SUFFIX})?", re.ASCII)

POSITION_PATTERN = rf"{_EPOCH}:[0-9]{{1,18}}({UDP_SUFFIX})?"
"""The form of a position as text, as an ECMA-262 pattern without anchors."""

_BITS = 11
"""Bits of the counts of materials and queue. The rest stays below 2**53, JavaScript's bound, for 2**31 changes."""

_SUM_SHIFT = 2 * _BITS
_CYCLE = 1 << _BITS
_HALF = _CYCLE // 2


class Versions(Struct, frozen=True, gc=False):
    """How often each thing of a feed has changed; 0 for what the feed does not cover."""

    session: int = 0
    materials: int = 0
    queue: int = 0

    @property
    def total(self) -> int:
        """The number of changes of all three."""
        return self.session + self.materials + self.queue

    @property
    def encoded(self) -> int:
        """One number that grows with every change: the sum of the counts, then the low bits of the last two."""
        materials, queue = self.materials, self.queue
        return self.session + materials + queue << _SUM_SHIFT | materials % _CYCLE << _BITS | queue % _CYCLE

    def reach(self, other: Versions) -> bool:
        """Whether nothing in `other` is newer."""
        return self.session >= other.session and self.materials >= other.materials and self.queue >= other.queue


NOTHING = 0
"""The version of a subscriber that has nothing yet, or only part of a snapshot: it resumes with all of it."""


class Position(Struct, frozen=True, gc=False):
    """A position. As text: `epoch:version`, or `epoch:version:udp`.

    Attributes:
        epoch: the epoch of the version, which has no meaning in another one.
        version: packed `Versions`.
        over_udp: whether it was delivered over UDP, which carries nothing about queues.
    """

    epoch: str
    version: int
    over_udp: bool = False

    def __str__(self) -> str:
        return f"{self.epoch}:{self.version}{UDP_SUFFIX if self.over_udp else ''}"


def is_epoch(text: str) -> bool:
    """Whether the text has the form of an epoch."""
    return re.fullmatch(_EPOCH, text, re.ASCII) is not None


def covers_materials(version: int, materials: int) -> bool:
    """Whether the table of materials with this version includes the material changes counted in a packed `version`."""
    return (materials - (version >> _BITS)) % _CYCLE < _HALF


def before_materials_change(version: int) -> int:
    """The packed version without the newest change of the materials."""
    materials = version >> _BITS & _CYCLE - 1
    return version - (1 << _SUM_SHIFT) + ((materials - 1) % _CYCLE - materials << _BITS)


def changes_in(version: int) -> int:
    """The number of changes until `version`."""
    return version >> _SUM_SHIFT


def decode_versions(version: int, near: Versions) -> Versions | None:
    """The counts in a packed `version`, found with the help of a feed of the same thing.

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
    """The number closest to `near` with these low bits."""
    return near + (low - near + _HALF) % _CYCLE - _HALF


def parse_position(text: str) -> Position:
    """The inverse of `str(position)`.

    Raises:
        BadRequest: it is not a position.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadRequest("resume takes the epoch and version of the last message, as in resume=6c0ffee:42.")
    return Position(match[1], int(match[2]), match[3] is not None)
