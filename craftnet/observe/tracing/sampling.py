"""Which events and requests are traced. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from craftnet.contract.traces import TraceParent

MAX_TRACED = 100
"""Maximum number of traced events of one body, regardless of the authority's sampled flags."""

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_RANDOM_BITS = (1 << 56) - 1
"""The part of a trace id that is random (W3C Trace Context level 2, section 3.2.2.3)."""


class Sampler:
    """Decides which events and requests are traced.

    Arguments:
        share: of events and of requests, 0 to 1.
        random: returns a number from 0 to 1.
    """

    def __init__(self, share: float, random: Callable[[], float]) -> None:
        self._share = share
        self._random = random

    def event(self, parent: TraceParent | None, trace_id: str | None) -> bool:
        """Whether an event is traced.

        Arguments:
            parent: the span in which the authority sent it; its decision counts.
            trace_id: the trace that the event itself names; all of its events are traced, or none.
        """
        if parent is not None:
            return parent.sampled
        if trace_of_event(trace_id) is not None:
            return (int(str(trace_id), 16) & _RANDOM_BITS) < self._share * (_RANDOM_BITS + 1)
        return self.request()

    def request(self) -> bool:
        """Whether a client's request is traced; the client's own trace does not influence this."""
        return self._share > 0 and self._random() < self._share


def trace_of_event(trace_id: str | None) -> int | None:
    """The W3C trace id of an event; None if the event has none, or one of another form."""
    text = (trace_id or "").replace("-", "").lower()
    return int(text, 16) or None if _TRACE_ID.fullmatch(text) else None
