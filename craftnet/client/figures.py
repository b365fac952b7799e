"""A connection's measurements for programs, and when to print them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.client.line import Line

SPACING = 4.0
"""Seconds between two lines. Heartbeats, which bring most new measurements, are usually further apart."""


class LineFigures(Struct, frozen=True, tag_field="type", tag="line"):
    """The measurements of a connection when an update about a session arrives.

    Attributes:
        round_trip_ms, variation_ms, jitter_ms: see `craftnet.protocols.udp.conditions.Conditions`.
        clock_offset_ms: how far the server's clock is ahead.
        loss_in, loss_out, reordering: shares of the last datagrams, 0 to 1.
        progress_bound: points by which the last progress, extrapolated, may be wrong.
    """

    session_id: UUID
    transport: str
    round_trip_ms: float | None
    variation_ms: float
    jitter_ms: float
    clock_offset_ms: float | None
    loss_in: float
    loss_out: float
    reordering: float
    progress_bound: float

    @property
    def json(self) -> str:
        """The measurements as one line of JSON."""
        return msgspec.json.encode(self).decode()


def figures(session_id: UUID, transport: str, line: Line) -> LineFigures:
    """Rounded measurements; the bound is a promise and therefore rounded up."""
    conditions = line.conditions
    return LineFigures(
        session_id,
        transport,
        _if_known(conditions.round_trip),
        _milliseconds(conditions.variation),
        _milliseconds(conditions.jitter),
        _if_known(conditions.offset),
        round(conditions.loss_in, 3),
        round(conditions.loss_out, 3),
        round(conditions.reordered, 3),
        math.ceil(line.bound * 100) / 100,
    )


class FigureLines:
    """The lines of one watch: spaced apart, except that a bound that no longer holds is replaced at once.

    Arguments:
        session_id: the watched session.
        clock: the time, seconds.
    """

    def __init__(self, session_id: UUID, clock: Callable[[], float]) -> None:
        self._session_id = session_id
        self._clock = clock
        self._last: LineFigures | None = None
        self._from = -math.inf

    def due(self, transport: str, line: Line) -> LineFigures | None:
        """The measurements to write now, or None."""
        now, last, new = self._clock(), self._last, figures(self._session_id, transport, line)
        if new == last or (last is not None and now < self._from and new.progress_bound <= last.progress_bound):
            return None
        self._last, self._from = new, now + SPACING
        return new


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1) + 0.0  # never -0.0.


def _if_known(seconds: float | None) -> float | None:
    return None if seconds is None else _milliseconds(seconds)
