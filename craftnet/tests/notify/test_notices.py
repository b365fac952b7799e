"""Tests for `craftnet.notify.notices`."""

from __future__ import annotations

import hmac
from hashlib import sha256
from uuid import UUID

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    ACCEPTED,
    DUPLICATE,
    EventData,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
)
from craftnet.contract.messages import QueueMessageType, Station
from craftnet.notify.notices import Notice, NoticeBatch, NoticeType, encode, notices, signature
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event

FREE = QueueUpdate(
    player_id=PLAYER, queue_position=1, station_type=Station.LABORATORY, type=QueueMessageType.STATION_AVAILABLE
)
COMPLETE = SessionComplete(session_id=SESSION, result_item_id=UUID(int=1))


def of(data: EventData) -> Notice:
    """The notification about an accepted event."""
    (notice,) = notices([event(data)], [ACCEPTED])
    return notice


class NoticesTests(SynchronousTestCase):
    def test_what_players_hear(self) -> None:
        free = of(FREE)
        self.assertEqual((free.type, free.player_id, free.station_type), ("station_available", PLAYER, "laboratory"))
        complete = of(COMPLETE)
        self.assertEqual((complete.type, complete.session_id), (NoticeType.CRAFT_COMPLETE, SESSION))
        failed = of(SessionFail(session_id=SESSION, failure_reason="recipe_error"))
        self.assertEqual((failed.type, failed.reason), (NoticeType.CRAFT_FAILED, "recipe_error"))
        cancelled = of(SessionCancel(session_id=SESSION, cancel_reason="zone_change"))
        self.assertEqual((cancelled.type, cancelled.reason), (NoticeType.CRAFT_FAILED, "zone_change"))

    def test_nothing_else(self) -> None:
        """No pauses, no further places, and nothing about an event that changed nothing."""
        pause = SessionPause(session_id=SESSION, pause_reason="player_afk")
        second = QueueUpdate(player_id=PLAYER, queue_position=2)
        self.assertEqual(list(notices([event(pause), event(second)], [ACCEPTED, ACCEPTED])), [])
        self.assertEqual(list(notices([event(COMPLETE)], [DUPLICATE])), [])


class RequestTests(SynchronousTestCase):
    def test_body(self) -> None:
        """Fields without a value are left out; times are RFC 3339."""
        (found,) = msgspec.json.decode(encode(NoticeBatch([of(FREE)])))["notifications"]
        self.assertEqual(set(found), {"id", "type", "player_id", "timestamp", "station_type"})
        self.assertRegex(found["timestamp"], r"^\d{4}-\d\d-\d\dT.*Z$")

    def test_signature(self) -> None:
        """Over the time and the body."""
        at, _, digest = signature(b"s" * 32, b"{}", NOW).partition(",v1=")
        self.assertEqual(at, f"t={int(NOW)}")
        self.assertEqual(digest, hmac.new(b"s" * 32, f"{int(NOW)}.{{}}".encode(), sha256).hexdigest())
