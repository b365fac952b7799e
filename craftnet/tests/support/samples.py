"""Values that many tests need: ids, events, states. Everything is fixed, so that failures repeat."""

from __future__ import annotations

from itertools import count
from uuid import UUID, uuid4

from craftnet.clocks import Moment
from craftnet.contract.events import Event, EventData, EventMaterial, SessionStart
from craftnet.contract.messages import (
    CraftingProgressData,
    MaterialNotification,
    MaterialProblem,
    Status,
    WebSocketCraftingMessage,
    rfc3339,
    to_json,
)
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.providers.shards import Shards

NOW = 1_800_000_000.0
"""Where clocks of tests start, Unix seconds."""

AT = Moment.agreed(NOW)
"""The same on both clocks."""

PLAYER = UUID("11111111-1111-4111-8111-111111111111")
OTHER_PLAYER = UUID("22222222-2222-4222-8222-222222222222")
SESSION = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
OTHER_SESSION = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")
RECIPE = UUID("cccccccc-cccc-4ccc-8ccc-cccccccccccc")
IRON = UUID("dddddddd-dddd-4ddd-8ddd-dddddddddddd")
COPPER = UUID("eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee")

GAME_START = b"""{"event_id": "5b0b4bb2-3f0d-4c64-9c53-0d3f3b1f6a11", "event_type": "crafting.session.start", \
"timestamp": "2026-01-15T10:30:00Z", "version": "1.0.0", "source": "crafting.session", \
"session_id": "9f7f7c1e-6a54-4a39-8a39-0c2a6c5d7e02", "player_id": "3c7d5a51-20a5-4be0-9a55-7d1f0b2a9c03", \
"data": {"session_id": "1d2c3b4a-5e6f-4a7b-8c9d-0e1f2a3b4c04", "recipe_id": "7a6b5c4d-3e2f-4d1c-9b0a-9f8e7d6c5b05", \
"player_id": "3c7d5a51-20a5-4be0-9a55-7d1f0b2a9c03", \
"materials": [{"material_id": "0f1e2d3c-4b5a-4697-8877-665544332206", "quantity": 5, "quality": "common"}], \
"estimated_duration_seconds": 300, "location": {"x": 123.45, "y": 67.89, "z": 0.0}, \
"zone_id": "night_city_crafting_zone_01"}, "metadata": {"priority": "normal", "ttl": "7d"}, "tags": ["crafting"]}"""
"""A session's start as the game itself publishes it."""

GAME_SESSION = UUID("1d2c3b4a-5e6f-4a7b-8c9d-0e1f2a3b4c04")
"""The craft that it starts; the id in its envelope is that of the player's game session."""

_numbers = count(1)


def event(
    data: EventData,
    at: float = NOW,
    *,
    accepted: float | None = None,
    session_id: UUID | None = None,
    event_id: UUID | None = None,
    source: str = "",
) -> Event:
    """An event with a new id, true and accepted at `at`, unless it is accepted at another time."""
    named = session_id or getattr(data, "session_id", None)
    arrived = at if accepted is None else accepted
    return Event(event_id or UUID(int=next(_numbers)), at, arrived, data, named, source)


def start(session_id: UUID = SESSION, player_id: UUID = PLAYER, *, seconds: float | None = 60.0) -> SessionStart:
    """The data of a session's start, with 10 iron of quality 50."""
    return SessionStart(
        session_id=session_id,
        recipe_id=RECIPE,
        player_id=player_id,
        materials=(EventMaterial(IRON, 10, 50),),
        estimated_duration_seconds=seconds,
    )


def running(session_id: UUID = SESSION, player_id: UUID = PLAYER, *, percent: float = 0.0) -> SessionState:
    """The state of a session that has 60 s to go at `NOW`."""
    return SessionState(session_id, player_id, 1, Progress(Status.ACTIVE, percent, NOW, 60.0), RECIPE, NOW)


SHORT = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.INSUFFICIENT_QUANTITY)


def message(type: str, **fields: object) -> WebSocketCraftingMessage:
    """A message of the session's feed."""
    return WebSocketCraftingMessage(type=type, session_id=SESSION, timestamp=rfc3339(NOW), **fields)  # type: ignore[arg-type]  # each test gives what fits


def progress(percent: int, status: Status = Status.ACTIVE, remaining: int | None = 30) -> CraftingProgressData:
    """The content of a progress message."""
    return CraftingProgressData(
        session_id=SESSION, progress_percentage=percent, status=status, remaining_time_seconds=remaining
    )


TOKEN = "header.payload.signature"
PROGRESS = to_json(message("progress_update", progress_data=progress(40)))
COMPLETE = to_json(message("crafting_complete", progress_data=progress(100, Status.COMPLETED, 0)))


def player_of(number: int, count: int = 2) -> UUID:
    """A player whose state worker `number` keeps."""
    return next(player for player in iter(uuid4, None) if Shards(0, count).of(player) == number)
