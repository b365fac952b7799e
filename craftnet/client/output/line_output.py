"""A watch written line by line, as JSON or in words, with the connection's figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TextIO
from uuid import UUID

import msgspec
from msgspec import Struct
from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.interfaces import IObserver
from craftnet.client.output import wording
from craftnet.contract.messages import WebSocketCraftingMessage
from craftnet.crafting.updates import Update

REPORT_INTERVAL = 4.0
"""Seconds between two lines. Heartbeats, which bring most new measurements, are usually further apart."""


class QualityFigures(Struct, frozen=True, tag_field="type", tag="line"):
    """The measurements of a connection when an update about a session arrives.

    Attributes:
        round_trip_ms, variation_ms, jitter_ms: see `craftnet.protocols.udp.core.path_stats.PathStats`.
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


def figures(session_id: UUID, transport: str, quality: ConnectionQuality) -> QualityFigures:
    """Rounded measurements; the bound is a promise and therefore rounded up."""
    conditions = quality.conditions
    return QualityFigures(
        session_id,
        transport,
        _if_known(conditions.round_trip),
        _milliseconds(conditions.variation),
        _milliseconds(conditions.jitter),
        _if_known(conditions.offset),
        round(conditions.loss_in, 3),
        round(conditions.loss_out, 3),
        round(conditions.reordered, 3),
        math.ceil(quality.bound * 100) / 100,
    )


class QualityReporter:
    """The lines of one watch: spaced apart, except that a bound that no longer holds is replaced at once.

    Arguments:
        session_id: the watched session.
        clock: the time, seconds.
    """

    def __init__(self, session_id: UUID, clock: Callable[[], float]) -> None:
        self._session_id = session_id
        self._clock = clock
        self._last: QualityFigures | None = None
        self._from = -math.inf

    def due(self, transport: str, quality: ConnectionQuality) -> QualityFigures | None:
        """The measurements to write now, or None."""
        now, last, new = self._clock(), self._last, figures(self._session_id, transport, quality)
        if new == last or (last is not None and now < self._from and new.progress_bound <= last.progress_bound):
            return None
        self._last, self._from = new, now + REPORT_INTERVAL
        return new


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1) + 0.0  # never -0.0.


def _if_known(seconds: float | None) -> float | None:
    return None if seconds is None else _milliseconds(seconds)


def json_line(transport: str, message: WebSocketCraftingMessage) -> str:
    """The contract's message as one line of JSON, with the additional field `transport`."""
    return msgspec.json.encode({**msgspec.to_builtins(message), "transport": transport}).decode()


def plain_line(message: WebSocketCraftingMessage, label: str = "") -> str:
    """The message in words, after the server's time of day in UTC and, if there is one, a label."""
    return " ".join(filter(None, (message.timestamp[11:19], label, wording.message(message))))


def labelled(name: str, label: str) -> str:
    """A name followed by the label, if there is one."""
    return f"{name} {label}" if label else name


def note(delay: float, ending: Ending) -> str:
    """Why there is no connection now, and when the next attempt follows."""
    then = f"trying again in {delay:.1f} s" if delay else "trying another transport"
    return f"{wording.printable(ending.reason)}; {then}"


@implementer(IObserver)
class LineOutput:
    """Writes every message as a line, at once.

    Arguments:
        out: for the messages.
        err: for notes about connections.
        as_json: whether the lines are for programs.
        label: distinguishes the lines of several watches. JSON lines name their session anyway.
        figures: decides which measurements to print; None: none.
    """

    def __init__(
        self, out: TextIO, err: TextIO, *, as_json: bool, label: str = "", figures: QualityReporter | None = None
    ) -> None:
        self._out = out
        self._err = err
        self._as_json = as_json
        self._label = label
        self._figures = figures

    def connecting(self, transport: str) -> None:
        """See `IObserver`. Prints nothing."""

    def updated(self, transport: str, update: Update, feed: WatchedSession) -> None:
        """See `IObserver`."""
        for message in update.messages:
            if isinstance(message, WebSocketCraftingMessage):
                quality = json_line(transport, message) if self._as_json else plain_line(message, self._label)
                print(quality, file=self._out, flush=True)

    def measured(self, transport: str, quality: ConnectionQuality) -> None:
        """See `IObserver`."""
        figures = None if self._figures is None else self._figures.due(transport, quality)
        if figures is not None:
            words = " ".join(filter(None, (self._label, f"over {transport}, {quality.words}")))
            print(figures.json if self._as_json else words, file=self._out, flush=True)

    def waiting(self, delay: float, ending: Ending) -> None:
        """See `IObserver`."""
        print(f"{labelled('craftnet', self._label)}: {note(delay, ending)}", file=self._err, flush=True)
