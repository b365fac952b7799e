"""What relates a request to others: its W3C trace context (section 3.2), and the ids that log lines have of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

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


_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_UUID = r"([0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27})"
_SESSION = re.compile(rf"/(?:crafting|sessions)/{_UUID}")
_PLAYER = re.compile(rf"(?:/(?:queue|players?)/|[?&]player_id=){_UUID}")


def request_ids(target: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The ids of a request, by the names of their fields in the log.

    Arguments:
        target: its path and query; a log never has them, because clients put anything there.
        headers: by lower-case name. X-Request-Id is taken over from the client or its proxy where it is short and
            plain; otherwise the request gets a new one.
    """
    given = headers.get("x-request-id", "")
    ids = {"request_id": given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)}
    trace = parse_traceparent(headers.get("traceparent"))
    if trace is not None:
        ids["trace_id"] = trace.trace_id
    for name, pattern in (("session_id", _SESSION), ("player_id", _PLAYER)):
        found = pattern.search(target)
        if found is not None:
            ids[name] = found[1].lower()
    return ids
