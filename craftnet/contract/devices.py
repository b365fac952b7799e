"""Messages about a player's devices, on the feeds of that player. Pure.

Only a connection that registered a device receives them, so clients that do not know them never get one.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from craftnet.contract.messages import MALFORMED, Time, Version
from craftnet.errors import BadRequest

MAX_DEVICE_NAME = 32
"""Maximum length of a device's name, characters."""

Epoch = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{1,64}\Z")]


class DeviceCursor(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """How far one feed was seen and dismissed."""

    session_id: UUID | None = None
    """The session of the feed; absent for the player's queue."""
    epoch: str
    """Epoch of the two versions."""
    seen: Version = 0
    """Version of the newest message that was seen; absent when none was."""
    dismissed: Version = 0
    """Version of the newest message that was dismissed, with all before it; absent when none was."""


class DeviceState(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One device of a player."""

    name: str
    """Its name, as it registered."""
    online: bool
    """Whether it is connected, or was a moment ago."""
    since: Time
    """When that last changed, on the server's wall clock."""
    cursors: tuple[DeviceCursor, ...] = ()
    """How far it has seen and dismissed each feed."""


class DevicesMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="devices"):
    """All devices of a player: the first message about devices, sent again when one arrives or leaves."""

    player_id: UUID
    """The player."""
    timestamp: Time
    """When the message was made, on the server's wall clock."""
    devices: tuple[DeviceState, ...]
    """The devices, in the order in which they were first registered."""
    cursors: tuple[DeviceCursor, ...] = ()
    """How far any device has seen and dismissed each feed."""


class DeviceCursorMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="device_cursor"):
    """A device has seen or dismissed more of a feed than any other; sent to all devices, including that one."""

    player_id: UUID
    """The player."""
    timestamp: Time
    """When the message was made, on the server's wall clock."""
    device: str
    """Name of the device that reported it."""
    cursor: DeviceCursor
    """How far any device has seen and dismissed the feed."""


class DeviceRefused(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="device_refused"):
    """The server refused a registration or a report; the feed goes on."""

    timestamp: Time
    """When the message was made, on the server's wall clock."""
    code: Annotated[int, Meta(ge=100, le=599)]
    """The HTTP status for such a refusal, such as 400 or 429."""
    message: str
    """What was wrong and what is expected, in English."""


DeviceMessage = DevicesMessage | DeviceCursorMessage | DeviceRefused
"""What the server sends about devices."""


class Seen(Struct, frozen=True, kw_only=True, tag="seen"):
    """The device has shown the message at this position, and all before it."""

    epoch: Epoch
    """Epoch of the message."""
    version: Annotated[int, Meta(ge=1)]
    """Version of the message."""
    session_id: UUID | None = None
    """The session of the message; absent for one of the queue."""


class Dismissed(Struct, frozen=True, kw_only=True, tag="dismissed"):
    """The player has dismissed the message at this position, and all before it. It also counts as seen."""

    epoch: Epoch
    """Epoch of the message."""
    version: Annotated[int, Meta(ge=1)]
    """Version of the message."""
    session_id: UUID | None = None
    """The session of the message; absent for one of the queue."""


DeviceReport = Seen | Dismissed
"""What a device sends."""

_reports: msgspec.json.Decoder[DeviceReport] = msgspec.json.Decoder(Seen | Dismissed)
_messages: msgspec.json.Decoder[DeviceMessage] = msgspec.json.Decoder(
    DevicesMessage | DeviceCursorMessage | DeviceRefused
)


def read_report(payload: bytes) -> DeviceReport:
    """Parses a device's message.

    Raises:
        BadRequest: the text says what is wrong with it.
    """
    try:
        return _reports.decode(payload)
    except MALFORMED as error:
        raise BadRequest(f"A device sends seen, dismissed or token, as JSON objects: {error}.") from None


def read_device_message(payload: bytes) -> DeviceMessage | None:
    """Parses a server's message; None if it is not about devices."""
    try:
        return _messages.decode(payload)
    except MALFORMED:
        return None


def device_name(text: str) -> str:
    """The name of a device, in Unicode's normalization form C (UAX #15).

    Raises:
        BadRequest: it is empty, too long, or has characters that cannot be shown.
    """
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= MAX_DEVICE_NAME or not name.isprintable() or name != name.strip():
        raise BadRequest(
            f"device takes a name of 1 to {MAX_DEVICE_NAME} printable characters without spaces at its ends, as in "
            "device=phone."
        )
    return name
