"""The envelopes that events come in, and how a body of them is taken apart.

Pure: octets in, values out. One bad event never spoils its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import starmap
from typing import Any, Union
from uuid import UUID

import msgspec
from msgspec import Raw, Struct, defstruct

from craftnet.clocks import Moment
from craftnet.contract.events import (
    EVENT_TYPES,
    Event,
    EventData,
    EventOutcome,
    QueueUpdate,
    SessionStart,
    rejected,
)
from craftnet.contract.messages import MALFORMED, JsonDecoder

ENVELOPE_VERSION = "1.0.0"
"""The version of the envelope that nearly every event has."""

_MAJOR_VERSION = re.compile(r"0*1\.[0-9]+\.[0-9]+")
"""Every version that is understood: minor ones only add fields."""


class _Envelope(Struct, frozen=True, kw_only=True, gc=False):
    """What the envelope of every event has."""

    event_id: UUID
    """Makes delivery idempotent: an event whose id was accepted before is a duplicate and changes nothing."""
    timestamp: datetime
    """When the event became true, RFC 3339 with a zone, on the authority's clock."""
    version: str
    """Any `1.x.y`; all of them mean the same to craftnet."""
    source: str
    """The part of the authority that sends the event; its first 128 characters count."""
    correlation_id: UUID | None = None
    """Cause of the event, in the authority's own logs."""
    trace_id: str | None = None
    """Trace that the event belongs to, in the authority's own logs."""
    session_id: UUID | None = None
    """The *game* session, not the craft; used only for a queue update whose `data` names no session."""
    player_id: UUID | None = None
    """Not used: `data.player_id` counts."""
    metadata: dict[str, Raw] | None = None
    """Not used."""


class _Unread(_Envelope, frozen=True, kw_only=True, gc=False):
    """An envelope whose data is not decoded yet: enough to say what is wrong with an event."""

    event_type: str
    """The type of `data`."""
    data: Raw
    """The fields of this type."""


_TYPE_NAMES = {kind: name for name, kind in EVENT_TYPES.items()}
_START = _TYPE_NAMES[SessionStart]
_NAMING_THE_PLAYER = frozenset({_START, _TYPE_NAMES[QueueUpdate]})


class _HeadingData(Struct, gc=False):
    session_id: str | None = None
    player_id: str | None = None


class EventHeading(Struct, gc=False):
    """The part of an event that says whom it concerns. The rest of the event may be invalid.

    Ids are text here, because making a UUID, and looking one up, takes long.

    Attributes:
        data: its session and its player, if it has them.
        session_id: as in `_Envelope`.
    """

    event_type: str
    data: _HeadingData
    session_id: str | None = None

    @classmethod
    def of(cls, event: Event) -> EventHeading:
        """The heading of an event."""
        data, craft = event.data, event.session_id
        player_id = str(data.player_id) if isinstance(data, SessionStart | QueueUpdate) else None
        return cls(_TYPE_NAMES[type(data)], _HeadingData(None if craft is None else str(craft), player_id))

    @property
    def craft(self) -> UUID | None:
        """The session that the event is about, as `Event.session_id`; None also for an id that is no UUID."""
        return _uuid(self.data.session_id or self.session_id)

    @property
    def player(self) -> UUID | None:
        """The player whom the event names as the session's: only a start and a queue update do."""
        return _uuid(self.data.player_id) if self.event_type in _NAMING_THE_PLAYER else None

    @property
    def starts(self) -> bool:
        """Whether it is the start of its session."""
        return self.event_type == _START


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        return None


def _typed(event_type: str, kind: type[EventData]) -> Any:
    """The envelope of one type, its data decoded."""
    options: dict[str, Any] = {"frozen": True, "kw_only": True, "gc": False}
    return defstruct(
        f"{kind.__name__}Event",
        [("data", kind)],
        bases=(_Envelope,),
        namespace={"__doc__": f"The event {kind.__doc__}"},
        **options,
        tag_field="event_type",
        tag=event_type,
    )


_envelope_decoder = msgspec.json.Decoder(_Unread)
_data_decoders = {name: JsonDecoder(kind) for name, kind in EVENT_TYPES.items()}
_list_decoder = msgspec.json.Decoder(list[Raw])
_value_decoder = msgspec.json.Decoder(Raw)
AnyEvent: Any = Union[tuple(starmap(_typed, EVENT_TYPES.items()))]  # noqa: UP007  # made at run time.
"""The envelope of an event of any type, its data decoded."""

_event_decoder = msgspec.json.Decoder(AnyEvent)
_events_decoder = msgspec.json.Decoder(list[AnyEvent])
_heading_decoder = msgspec.json.Decoder(EventHeading)
_OTHER_ENCODINGS = {
    b"\xef\xbb\xbf": "a byte order mark",
    b"\xff\xfe": "the byte order mark of UTF-16",
    b"\xfe\xff": "the byte order mark of UTF-16",
}
_WHITESPACE = b" \t\r\n"
_TOO_DEEP = "JSON is nested too deeply"
_UNKNOWN_TYPE = "unknown event_type"


def split(body: bytes, *, newline_delimited: bool) -> list[bytes | Raw]:
    """A request body as the raw JSON of each event, undecoded.

    Arguments:
        body: one event, a JSON array of events, or, when `newline_delimited`, one event a line.

    Raises:
        msgspec.DecodeError: the body is no JSON at all, or JSON that is nested too deeply. Lines are judged one by one.
    """
    if newline_delimited:
        return [line for line in body.splitlines() if line.strip(_WHITESPACE)]
    for mark, name in _OTHER_ENCODINGS.items():
        if body.startswith(mark):
            raise msgspec.DecodeError(f"it begins with {name}; send UTF-8 without one")
    try:
        if body.lstrip(_WHITESPACE)[:1] == b"[":
            return list(_list_decoder.decode(body))
        _value_decoder.decode(body)
        body.decode()  # which Raw does not look at. What is in an array is judged event by event.
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    return [body]


def decode(raw: bytes | Raw, now: Moment) -> Event | EventOutcome:
    """One event, accepted at `now`, or the rejection of what is not one."""
    try:
        envelope = _envelope_decoder.decode(raw)
        if not _is_understood(envelope.version):
            return rejected(
                f"version {envelope.version!r} is not understood; send {ENVELOPE_VERSION!r} or another 1.x.y"
            )
        decoder = _data_decoders.get(envelope.event_type)
        if decoder is None:
            return rejected(f"{_UNKNOWN_TYPE} {envelope.event_type!r}")
        data = decoder.decode(envelope.data)
    except RecursionError:
        return rejected(_TOO_DEEP)
    except MALFORMED as error:
        return rejected(str(error))
    if envelope.timestamp.tzinfo is None:
        return rejected("timestamp has no time zone")
    return _event(envelope, data, now.steady, now.ahead)


def decode_all(body: bytes, now: Moment, *, newline_delimited: bool) -> list[Event] | None:
    """The events of a body in one go, if each of them is one and nothing about the body is unusual.

    Returns:
        What `split` and `decode` give for it, at half the cost; None where they have to look at it, and say what is
        wrong. (Names that occur twice in an object aside: their outcome is undefined.)
    """
    try:
        if newline_delimited:
            # Not by decode_lines, to which an event may go on in the next line, or follow another in the same.
            envelopes = list(map(_event_decoder.decode, split(body, newline_delimited=True)))
        elif body[:1] == b"[":
            envelopes = _events_decoder.decode(body)
        else:
            envelopes = [_event_decoder.decode(body)]
            body.decode()
    except MALFORMED:
        return None
    return _usual(envelopes, now) or None


def decode_each(raws: Sequence[bytes | Raw], now: Moment) -> list[Event | EventOutcome]:
    """The event of each of `raws`, or its rejection: what `decode` gives for it, in one go where nothing is unusual."""
    try:
        events = _usual(list(map(_event_decoder.decode, raws)), now)
    except MALFORMED:
        events = None
    return [decode(raw, now) for raw in raws] if events is None else list[Event | EventOutcome](events)


def decode_headings(raws: Sequence[bytes | Raw]) -> list[EventHeading]:
    """The heading of each event, in a fraction of the time of `decode_each`.

    Raises:
        MALFORMED: one has none.
    """
    return list(map(_heading_decoder.decode, raws))


def _usual(envelopes: Sequence[Any], now: Moment) -> list[Event] | None:
    """The events in envelopes of any type; None where `decode` has to look at one."""
    steady, ahead, events = now.steady, now.ahead, []
    for envelope in envelopes:
        if not _is_understood(envelope.version) or envelope.timestamp.tzinfo is None:
            return None
        events.append(_event(envelope, envelope.data, steady, ahead))
    return events


def is_of_unknown_type(outcome: EventOutcome) -> bool:
    """Whether `decode` rejected an event only because it knows no such type."""
    return outcome.reason.startswith(_UNKNOWN_TYPE)


@lru_cache(maxsize=16)
def _is_understood(version: str) -> bool:
    """Kept, because nearly every event has the same."""
    return _MAJOR_VERSION.fullmatch(version) is not None


def _event(envelope: _Envelope, data: EventData, accepted: float, ahead: float) -> Event:
    # The envelope's ids are those of the game session and of the event's cause; a craft's are in the data.
    craft = data.session_id
    if craft is None:
        craft = envelope.session_id  # only a queue update may leave it out.
    return Event(
        envelope.event_id,
        envelope.timestamp.timestamp(),
        accepted,
        data,
        craft,
        envelope.source,
        envelope.correlation_id,
        envelope.trace_id,
        ahead,
    )
