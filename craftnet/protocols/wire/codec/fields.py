"""How numbers, absent values and close reasons are encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.compiler.conversions import Conversion, reader, writer
from craftnet.protocols.wire.layouts import NONE_U32
from craftnet.protocols.wire.records import CloseReason

Member = TypeVar("Member")

MAX_QUALITY = 100

MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999, the limit of RFC 3339 and of Python's datetime."""

TIME = Conversion(
    fits=f"0 <= {{}} <= {MAX_TIME_MS}",
    most=MAX_TIME_MS,
    fault="a time outside the years 1970–9999",
)
"""Unix milliseconds."""

# `.__round__()` is `round` without its look-up, which takes twice as long; three numbers of every progress need it.
SECONDS = TIME._replace(
    fits=f"0.0 <= {{}} <= {MAX_TIME_MS / 1000}",
    number="({} * 1000.0).__round__()",
    value="{} / 1000",
)
"""Unix seconds, in milliseconds."""

HUNDREDTHS = Conversion(
    fits="0.0 <= {} <= 100.0",
    number="({} * 100.0).__round__()",
    most=10_000,
    value="{} / 100",
    fault="a percentage outside 0–100",
)

DURATION = Conversion(
    none=NONE_U32,
    fits=f"0.0 <= {{}} <= {(NONE_U32 - 1) / 1000}",
    number="({} * 1000.0).__round__()",
    value="{} / 1000",
    fault="a remaining time that does not fit",
)
"""Seconds, in milliseconds."""

QUALITY = Conversion(none=0, fits=f"1 <= {{}} <= {MAX_QUALITY}", most=MAX_QUALITY, fault="a quality outside 1–100")

QUANTITY = Conversion(none=NONE_U32, fits=f"0 <= {{}} < {NONE_U32}", fault="a quantity that does not fit")

HELD_QUANTITY = QUANTITY._replace(
    none=None, most=NONE_U32 - 1, fault="a material without a quantity, or with one that does not fit"
)
"""The quantity of a material, which is always known."""

REQUIRED = QUANTITY._replace(means="{}", fault="a required quantity of 0, or one that does not fit")

COUNT = Conversion(
    fits=f"0 <= {{}} < {1 << 53}", most=(1 << 53) - 1, fault="a count that JavaScript's numbers cannot hold"
)

IDENTIFIER = Conversion(number="{}.bytes", value="UUID(bytes={})", names={"UUID": UUID})

to_quality: Callable[[int | None], int] = writer(QUALITY)
from_quality: Callable[[int], int | None] = reader(QUALITY, 8)
to_quantity: Callable[[int | None], int] = writer(QUANTITY)


def exactly(octets: bytes, size: int) -> None:
    if len(octets) != size:
        raise BadDatagram("truncated" if len(octets) < size else "trailing")


def member(members: tuple[Member, ...], index: int) -> Member:
    if index >= len(members):
        raise BadDatagram("out_of_range", "a number that stands for nothing")
    return members[index]


REASON = Conversion(
    means="{} in TRAVELLING",
    value="TRAVELLING[{}]",
    fault="no reason that travels",
    names={"TRAVELLING": {int(reason): reason for reason in CloseReason if reason < CloseReason.SILENT}},
)
"""Local reasons are refused."""
