"""Event streams: what a feed sends as server-sent events (HTML Living Standard, section 9.2). Pure.

Each message is an event without a name, whose data is its JSON. An event `close` is the last one and says why. The
stream is sent in chunks (RFC 9112 section 7.1), so that a client knows a stream that ended from one that was cut.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from craftnet.contract.close_codes import CloseCode, retry_after
from craftnet.crafting.updates import Encoding, Update

MEDIA_TYPE = "text/event-stream"

HEADERS = {
    # A proxy that compresses a stream, or waits until it is complete, would hold back its events.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
"""Header fields of a response that is an event stream."""

COMMENT = b":\n\n"
"""A line that clients ignore: it shows that the server is alive, and proxies that the stream is in use."""

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a stream in chunks."""


class StreamEnd(Struct, frozen=True):
    """The data of the event `close`."""

    code: int
    """Why the feed ended: a close code."""
    reason: str
    """The same for people, or the time to reconnect."""


def events(update: Update) -> bytes:
    """An event for each message of an update.

    Only the last of them has the position as its id: a client that lost the others asks for all of them again.
    """
    *before, last = update.json or (b"",)
    if not last:
        return b""
    lines = [b"data: %b\n\n" % message for message in before]
    position = update.reached
    if position is not None:
        lines.append(b"id: %b\n" % str(position).encode())
    lines.append(b"data: %b\n\n" % last)
    return b"".join(lines)


def close_event(code: CloseCode, reason: str) -> bytes:
    """The last event of a stream; with `retry:`, in milliseconds, where the reason names a time to reconnect."""
    seconds = retry_after(reason)
    retry = b"" if seconds is None else b"retry: %d\n" % round(seconds * 1000)
    return retry + b"event: close\ndata: %b\n\n" % msgspec.json.encode(StreamEnd(int(code), reason))


def chunk(octets: bytes) -> bytes:
    """A part of a stream as a chunk."""
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def _chunked_events(update: Update) -> bytes:
    octets = events(update)
    return chunk(octets) if octets else b""  # an empty chunk would be the last.


def encoding(*, chunked: bool) -> Encoding:
    """The encoding of updates for a client that understands chunks, or for one of HTTP/1.0."""
    return _chunked_events if chunked else events
