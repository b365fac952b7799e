"""Decides which of two events about the same thing is newer, and when each counts as having become true.

Order is decided between the timestamps that one source states. Clocks of different sources, and our own, are not
compared: one that is slow by a few seconds would cost events that are perfectly in order. Our own clock only decides
which timestamps are credible. Pure: shared by the rules of sessions, materials and queues.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern

from craftnet.contract.events import Event
from craftnet.crafting.state import Stamp, Stamps
from craftnet.errors import EventRejected

CLOCK_JUMP_SECONDS = 60.0
"""Seconds by which a timestamp must be older than the newest for its source's clock to count as set back."""

MAX_SOURCES = 4
"""Sources remembered for one thing, the most recent ones."""

MAX_SOURCE_LENGTH = 128
"""Characters that distinguish sources."""


def stamp(event: Event) -> Stamp:
    """The timestamp that the event's source states."""
    return Stamp(intern(event.source[:MAX_SOURCE_LENGTH]), event.timestamp)


def first_stamps(event: Event) -> Stamps:
    """The stamps after a first event."""
    return _first_stamps(intern(event.source[:MAX_SOURCE_LENGTH]), event.timestamp)


@lru_cache(maxsize=1024)  # an event that starts a session is the first about its materials, too: both keep one object.
def _first_stamps(source: str, timestamp: float) -> Stamps:
    return (Stamp(source, timestamp),)


def with_stamp(stamps: Stamps, stated: Stamp) -> Stamps:
    """The stamps with one more. The last stamp of its source is the newer one, unless the clock was set."""
    source, others = stated.source, stamps[:-1]
    known = stamps[-1] if stamps else None
    if known is None or known.source != source:  # rare: usually one source reports about a thing.
        known = next((each for each in stamps if each.source == source), None)
        others = tuple(each for each in stamps if each is not known)[1 - MAX_SOURCES :]
    if known is not None and known.timestamp - CLOCK_JUMP_SECONDS < stated.timestamp < known.timestamp:
        stated = known
    return (*others, stated) if others else (stated,)


def check_order(stamps: Stamps, event: Event) -> None:
    """Refuses what its source stated before something that was already applied.

    Arguments:
        stamps: the stamps of the same thing, including the event's own, as `with_stamp` returns them.

    Raises:
        EventRejected: the event is older, and by less than `CLOCK_JUMP_SECONDS`: beyond that, its source's clock was
        set.
    """
    if event.timestamp < stamps[-1].timestamp:
        raise EventRejected("out of order: a later event of the same source was applied before")


def effective_time(stated: float, arrival: float, newest: float) -> float:
    """When an event counts as having become true; never before what was already applied.

    A time so old that the clock behind it must have been set is not credible; the event then counts from its arrival,
    as does one that is ahead of our clock (`Event.occurred`, `Event.when`).

    Arguments:
        stated: when it became true, in seconds on the clock of the other two.
        arrival: when it reached this service.
        newest: the effective time of the newest event applied to the same thing; 0 when there is none. One far ahead of
            the arrival, because the clock of the applying node was wrong, is ignored.
    """
    moment = stated if stated > newest - CLOCK_JUMP_SECONDS else arrival
    return newest if moment < newest < arrival + CLOCK_JUMP_SECONDS else moment
