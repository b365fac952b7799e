"""How numbers travel: hundredths, milliseconds, and what stands for a value that is not there."""

from __future__ import annotations

import math
from typing import TypeVar

from craftnet.errors import BadDatagram
from craftnet.protocols.layouts import NONE_U32

Member = TypeVar("Member")

MAX_QUALITY = 100

MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999: what RFC 3339, and Python's datetime, can say."""


def integers(values: tuple[object, ...]) -> tuple[int, ...]:
    """The same tuple, for a layout that has integers only."""
    return values  # type: ignore[return-value]  # the layout says so.


def exactly(octets: bytes, size: int) -> None:
    if len(octets) != size:
        raise BadDatagram("truncated" if len(octets) < size else "trailing")


def member(members: tuple[Member, ...], index: int) -> Member:
    if index >= len(members):
        raise BadDatagram("out_of_range", "a number that stands for nothing")
    return members[index]


def time(milliseconds: int) -> int:
    if not 0 <= milliseconds <= MAX_TIME_MS:
        raise BadDatagram("out_of_range", "a time after the year 9999")
    return milliseconds


def to_hundredths(percent: float) -> int:
    if not 0 <= percent <= 100:
        raise BadDatagram("out_of_range", "a percentage outside 0–100")
    return round(percent * 100)


def from_hundredths(hundredths: int) -> float:
    if hundredths > 10_000:
        raise BadDatagram("out_of_range", "a percentage beyond 100")
    return hundredths / 100


def to_milliseconds(seconds: float | None) -> int:
    if seconds is None:
        return NONE_U32
    if not math.isfinite(seconds) or not 0 <= round(seconds * 1000) < NONE_U32:
        raise BadDatagram("out_of_range", "a remaining time that does not fit")
    return round(seconds * 1000)


def from_milliseconds(milliseconds: int) -> float | None:
    return None if milliseconds == NONE_U32 else milliseconds / 1000


def to_quality(quality: int | None) -> int:
    if quality is None:
        return 0
    if not 1 <= quality <= MAX_QUALITY:
        raise BadDatagram("out_of_range", "a quality outside 1–100")
    return quality


def from_quality(quality: int) -> int | None:
    if quality > MAX_QUALITY:
        raise BadDatagram("out_of_range", "a quality beyond 100")
    return quality or None


def to_quantity(quantity: int | None) -> int:
    if quantity is None:
        return NONE_U32
    if not 0 <= quantity < NONE_U32:
        raise BadDatagram("out_of_range", "a quantity that does not fit")
    return quantity


def from_quantity(quantity: int) -> int | None:
    return None if quantity == NONE_U32 else quantity
