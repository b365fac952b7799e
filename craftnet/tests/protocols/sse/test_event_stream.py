"""Tests for `craftnet.protocols.sse.core.event_stream`."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.close_codes import CloseCode, retry_reason
from craftnet.contract.messages import WebSocketCraftingMessage
from craftnet.contract.position import Position
from craftnet.crafting.updates import Message, Update
from craftnet.http.chunked_body import ChunkedBody
from craftnet.protocols.sse.core.event_stream import COMMENT, LAST_CHUNK, close_event, encoding
from craftnet.tests.support.event_source import Event, EventSource
from craftnet.tests.support.samples import SESSION


def message(at: Position | None = None) -> Message:
    """A message of a crafting feed."""
    return WebSocketCraftingMessage(
        type="progress_update",
        session_id=SESSION,
        timestamp="2026-01-15T10:30:00.000Z",
        epoch=None if at is None else at.epoch,
        version=None if at is None else at.version,
    )


class EncodingTests(SynchronousTestCase):
    def test_position_is_the_id(self) -> None:
        """Of the last message of an update only: who lost it asks for the update again."""
        at = Position("6c0ffee", 42)
        update = Update(None, (message(at), message(at)), at=at)
        first, second = EventSource().feed(encoding(chunked=False)(update))
        self.assertEqual((first.id, second.id), ("", "6c0ffee:42"))
        self.assertEqual(msgspec.json.decode(second.data)["version"], 42)

    def test_without_position(self) -> None:
        (event,) = EventSource().feed(encoding(chunked=False)(Update(None, (message(),))))
        self.assertEqual((event.name, event.id), ("message", ""))

    def test_nothing_to_say(self) -> None:
        """Is no event, and above all no empty chunk, which would be the last."""
        for chunked in (True, False):
            self.assertEqual(encoding(chunked=chunked)(Update(None, ())), b"")

    def test_chunks(self) -> None:
        update = Update(None, (message(),))
        body = ChunkedBody()
        octets = encoding(chunked=True)(update) + LAST_CHUNK
        self.assertEqual(body.feed(octets), encoding(chunked=False)(update))
        self.assertEqual(body.rest, b"")

    def test_comment(self) -> None:
        self.assertEqual(EventSource().feed(COMMENT), [])

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.text(max_size=80), st.integers(1, 7))
    def test_close_event(self, reason: str, size: int) -> None:
        """Whatever the reason contains, and in pieces of any length, it is one event."""
        octets, source, found = close_event(CloseCode.SLOW_CONSUMER, reason), EventSource(), list[Event]()
        for start in range(0, len(octets), size):
            found += source.feed(octets[start : start + size])
        (event,) = found
        self.assertEqual((event.name, event.retry), ("close", None))
        self.assertEqual(msgspec.json.decode(event.data), {"code": 4008, "reason": reason})

    def test_time_to_reconnect(self) -> None:
        (event,) = EventSource().feed(close_event(CloseCode.GOING_AWAY, retry_reason(7.3)))
        self.assertEqual(event.retry, 7300)
