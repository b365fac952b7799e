"""Values that many tests need: ids, events, states. Everything is fixed, so that failures repeat."""

from __future__ import annotations

from itertools import count
from uuid import UUID

from craftnet.events import Event, EventData, EventMaterial, SessionStart
from craftnet.messages import Status
from craftnet.model import Progress
from craftnet.state import SessionState

NOW = 1_800_000_000.0
"""Where clocks of tests start, Unix seconds."""

PLAYER = UUID("11111111-1111-4111-8111-111111111111")
OTHER_PLAYER = UUID("22222222-2222-4222-8222-222222222222")
SESSION = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
OTHER_SESSION = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")
RECIPE = UUID("cccccccc-cccc-4ccc-8ccc-cccccccccccc")
IRON = UUID("dddddddd-dddd-4ddd-8ddd-dddddddddddd")
COPPER = UUID("eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee")

_numbers = count(1)


def event(data: EventData, at: float = NOW, *, session_id: UUID | None = None, event_id: UUID | None = None) -> Event:
    """An event with an id of its own, true and accepted at `at`."""
    named = session_id or getattr(data, "session_id", None)
    return Event(event_id or UUID(int=next(_numbers)), at, at, data, named)


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
