"""What a player who has no connection should hear, and how a webhook request says so. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.contract.events import (
    Event,
    EventOutcome,
    EventVerdict,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
)
from craftnet.contract.messages import QueueMessageType, Station, rfc3339


class NoticeType(StrEnum):
    """What happened."""

    STATION_AVAILABLE = "station_available"
    """A station is free for the player."""
    CRAFT_COMPLETE = "craft_complete"
    """A craft of the player is complete."""
    CRAFT_FAILED = "craft_failed"
    """A craft of the player failed, or was cancelled."""


class Notice(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One notification.

    Attributes:
        id: that of the event. Requests may repeat a notification, which has the same id then.
        player_id: None until it is known: events at the end of a craft name the session alone.
        timestamp: when it happened, RFC 3339.
        reason: why a craft failed, in the authority's words.
    """

    id: UUID
    type: NoticeType
    player_id: UUID | None = None
    session_id: UUID | None = None
    timestamp: str = ""
    station_type: Station | None = None
    reason: str | None = None


class NoticeBatch(Struct, frozen=True):
    """The body of a request."""

    notifications: Sequence[Notice]


def notices(events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> Iterator[Notice]:
    """The notifications about the accepted ones among `events`."""
    for event, outcome in zip(events, outcomes, strict=True):
        if outcome.verdict is not EventVerdict.ACCEPTED:
            continue
        at = rfc3339(event.timestamp)
        match event.data:
            case SessionComplete(session_id=session_id):
                yield Notice(id=event.event_id, type=NoticeType.CRAFT_COMPLETE, session_id=session_id, timestamp=at)
            case SessionFail(session_id=session_id, failure_reason=reason):
                yield _failed(event.event_id, session_id, at, reason)
            case SessionCancel(session_id=session_id, cancel_reason=reason):
                yield _failed(event.event_id, session_id, at, reason)
            case QueueUpdate(type=QueueMessageType.STATION_AVAILABLE) as update:
                yield Notice(
                    id=event.event_id,
                    type=NoticeType.STATION_AVAILABLE,
                    player_id=update.player_id,
                    session_id=event.session_id,
                    timestamp=at,
                    station_type=update.station_type,
                )


def _failed(event_id: UUID, session_id: UUID, at: str, reason: str) -> Notice:
    return Notice(
        id=event_id, type=NoticeType.CRAFT_FAILED, session_id=session_id, timestamp=at, reason=str(reason) or None
    )


encode = msgspec.json.Encoder().encode


def signature(secret: bytes, body: bytes, now: float) -> str:
    """The value of `Craftnet-Signature` for a body that is sent at `now`, Unix seconds.

    HMAC-SHA256 over the time, a full stop and the body, so that a recorded request cannot be sent again later.
    """
    at = int(now)
    digest = hmac.digest(secret, b"%d." % at + body, sha256).hex()
    return f"t={at},v1={digest}"
