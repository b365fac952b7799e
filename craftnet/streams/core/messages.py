"""A message of a bus, and one that is given up. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from craftnet.contract.messages import rfc3339

MAX_MESSAGE = 1_048_576
"""Maximum length of a message in bytes, as in a body of POST /events."""

SHOWN = 4096
"""Number of bytes of a message that a dead letter shows."""


class StreamMessage(Struct, frozen=True, gc=False):
    """One message: one event as JSON.

    Attributes:
        partition: the part of the stream that the message is from; messages of a part are in order.
        offset: its place in that part.
        timestamp: when the bus stored it, Unix seconds; 0 if unknown.
        reply_to: the subject that acknowledges it, on a bus that acknowledges messages one by one.
    """

    value: bytes
    partition: str
    offset: int
    timestamp: float = 0.0
    reply_to: str = ""


class DeadLetterReason(StrEnum):
    """Why a message is given up."""

    UNDECODABLE = "undecodable"
    """It is not an event."""
    UNKNOWN_TYPE = "unknown_type"
    """It is an event of a type that craftnet does not know."""
    TOO_LARGE = "too_large"
    """It is longer than 1 MiB."""
    NOT_STARTED = "not_started"
    """The start of its session did not arrive in time."""
    FAILED = "failed"
    """Applying it raised an unexpected error, which is logged: a fault of craftnet or of a back end."""


class DeadLetter(Struct, frozen=True):
    """A message that is given up."""

    message: StreamMessage
    reason: DeadLetterReason
    error: str


class DeadLetterLine(Struct, frozen=True):
    """A line of a file of dead letters."""

    time: str
    """When the message was given up, RFC 3339."""
    reason: str
    """Why, in one word."""
    error: str
    """Why, in English."""
    partition: str
    """The topic and the partition, or the stream, that the message is from."""
    offset: int
    """Its offset or sequence."""
    size: int
    """Its length in bytes."""
    value: str
    """Its first 4096 bytes as text; bytes that are not UTF-8 appear as `\\xNN`."""


def line_of(letter: DeadLetter, now: float) -> DeadLetterLine:
    """The line for a message that is given up at `now`, Unix seconds."""
    message = letter.message
    text = message.value[:SHOWN].decode("utf-8", "backslashreplace")
    return DeadLetterLine(
        rfc3339(now), letter.reason, letter.error, message.partition, message.offset, len(message.value), text
    )
