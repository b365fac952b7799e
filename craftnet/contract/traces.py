"""The W3C trace context of a request: the header field traceparent (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re

from msgspec import Struct

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1


class TraceParent(Struct, frozen=True, gc=False):
    """The span from which a request comes.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        sampled: whether the caller records the trace.
    """

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def text(self) -> str:
        """As the value of the header field."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse_traceparent(text: str | None) -> TraceParent | None:
    """The span in a header field; None when there is none, or it is malformed.

    A version after 00 may have more fields, which are ignored.
    """
    found = None if text is None or len(text) > 256 else _TRACEPARENT.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
