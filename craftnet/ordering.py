"""Which of two events about the same thing is the newer, and when each counts as having become true.

Order is a matter between the timestamps that one source states. Clocks of different sources, and our own, are not
compared: one of them that is slow by a few seconds would cost events that are perfectly in order. Our own clock has a
say only in which timestamps are believed as times. Pure: shared by the rules of sessions, materials and queues.
"""

from __future__ import annotations

from sys import intern

from craftnet.errors import EventRejected
from craftnet.events import Event
from craftnet.state import Stamp, Stamps

CLOCK_SET = 60.0
"""Seconds by which a timestamp must be older than the newest for its source's clock to count as set back."""

MAX_SOURCES = 4
"""How many sources are remembered of one thing; those heard of most recently."""

MAX_SOURCE_LENGTH = 128
"""How many characters tell one source from another."""


def stamp(event: Event) -> Stamp:
    """What the event's source states."""
    return Stamp(intern(event.source[:MAX_SOURCE_LENGTH]), event.timestamp)


def noted(stamps: Stamps, stated: Stamp) -> Stamps:
    """The stamps when one more is known. Its source's is the last of them: the newer one, unless the clock was set."""
    source, others = stated.source, stamps[:-1]
    known = stamps[-1] if stamps else None
    if known is None or known.source != source:  # seldom: one source tells of a thing.
        known = next((each for each in stamps if each.source == source), None)
        others = tuple(each for each in stamps if each is not known)[1 - MAX_SOURCES :]
    if known is not None and known.timestamp - CLOCK_SET < stated.timestamp < known.timestamp:
        stated = known
    return (*others, stated) if others else (stated,)


def check_order(stamps: Stamps, event: Event) -> None:
    """Refuses what its source stated before something that was applied already.

    Arguments:
        stamps: what is known of the same thing, as `noted` answers with the event's own.

    Raises:
        EventRejected: the event is older, and by less than `CLOCK_SET`: beyond that, its source's clock was set.
    """
    if event.timestamp < stamps[-1].timestamp:
        raise EventRejected("out of order: an event that its source states as later was applied before")


def effective_time(stated: float, arrival: float, newest: float) -> float:
    """When an event counts as having become true; never before what was applied already.

    A time is not believed that is so old that the clock behind it must have been set; the event then counts as of its
    arrival, as does one that is ahead of our clock (`Event.occurred`, `Event.when`).

    Arguments:
        stated: when it became true, in seconds on the clock of the other two.
        arrival: when it reached this service.
        newest: the effective time of the newest event applied to the same thing; 0 when there is none. One that is far
            ahead of the arrival, because the clock of whoever applied it was wrong, counts for nothing.
    """
    moment = stated if stated > newest - CLOCK_SET else arrival
    return newest if moment < newest < arrival + CLOCK_SET else moment
