"""The two clocks of a process: a steady one for timers, durations and deadlines, and the wall clock for dates.

The steady clock never jumps. It starts at Unix time and then counts the time elapsed, however often the system's clock
is set. Every timer, age, deadline, rate and progress bar is measured on it. The wall clock is the system's: it dates
what other machines and people read, and is compared with what they wrote.

docs/explanation/clocks.md says which use of time is on which clock, and what a step of the system's clock does to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from zope.interface import alsoProvides


class IClock(IReactorTime):
    """Both clocks. `seconds`, and with it `callLater`, is the steady one."""

    def wall() -> float:
        """The system's clock, Unix seconds. It may be set forward or back at any time."""


class Moment(Struct, frozen=True, gc=False):
    """One moment on both clocks.

    Attributes:
        steady: seconds, as `IClock.seconds` counts them.
        wall: Unix seconds.
    """

    steady: float
    wall: float

    @classmethod
    def agreed(cls, now: float) -> Moment:
        """The moment at which both clocks show `now`: a system whose clock was not set since the start."""
        return cls(now, now)

    @property
    def ahead(self) -> float:
        """Seconds by which the system's clock was set forward since the process started; negative: back."""
        return self.wall - self.steady

    def date(self, steady: float) -> float:
        """The Unix time of `steady`, past or future, by the system's clock of this moment."""
        return steady + self.ahead

    def deadline(self, date: float) -> float:
        """When a date is reached on the steady clock, as far as is known now."""
        return date - self.ahead


def moment(clock: IClock) -> Moment:
    """The present moment on both clocks."""
    return Moment(clock.seconds(), clock.wall())


def occurred(date: float, heard: float, ahead: float, tolerance: float) -> float | None:
    """When something that another machine dated became true, on the steady clock.

    The other machine's clock agrees with ours or, where ours was set (alone or with the other one), with what ours
    showed before. Of the two results the later one is taken.

    Arguments:
        date: Unix seconds, by the other machine's clock.
        heard: when the message arrived, on the steady clock, seconds.
        ahead: seconds by which the system's clock was ahead of the steady one then, as in `Moment`.
        tolerance: seconds by which the other machine's clock may be ahead.

    Returns:
        None when it is ahead of both by more than that.
    """
    latest, when = heard + tolerance, date - ahead
    if when > latest:
        return date if date <= latest else None
    return date if date <= latest and abs(heard - date) < abs(heard - when) else when


def _elapsed() -> Callable[[], float]:
    """The system's monotonic clock, in seconds, including suspended time where the system counts it."""
    try:
        time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic
    return partial(time.clock_gettime, time.CLOCK_BOOTTIME)


def steady(reactor: Any, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] | None = None) -> IClock:
    """Makes a reactor keep its timers on a steady clock, and adds the wall clock to it.

    Twisted schedules by the wall clock: a clock that is set back by an hour stops every timer for an hour. This is the
    only place that changes that. Pending timers stay due. A clock that is already an `IClock` is returned unchanged.

    Arguments:
        reactor: a `twisted.internet.base.ReactorBase`, which asks its own `seconds` for the time.
        wall: the wall clock, Unix seconds.
        elapsed: a clock that is never set, seconds from any origin; None: the system's.

    Returns:
        The same reactor.
    """
    if not IClock.providedBy(reactor):
        ticks = elapsed or _elapsed()
        start = wall() - ticks()
        reactor.seconds = lambda: start + ticks()
        reactor.wall = wall
        alsoProvides(reactor, IClock)
    return cast("IClock", reactor)
