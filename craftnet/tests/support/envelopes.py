"""An envelope of every event type, as the authority writes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from craftnet.tests.support.samples import (
    IRON,
    PLAYER,
    RECIPE,
    SESSION,
)

EVENT_ID = UUID("99999999-9999-4999-8999-999999999999")


MATERIAL: dict[str, Any] = {"material_id": str(IRON), "quantity": 10, "quality": 50}


DATA: dict[str, dict[str, Any]] = {
    "crafting.session.start": {
        "session_id": str(SESSION),
        "recipe_id": str(RECIPE),
        "player_id": str(PLAYER),
        "materials": [MATERIAL],
        "estimated_duration_seconds": 60,
        "workstation_id": str(IRON),
        "location": {"x": 123.45, "y": -67, "z": 0.0},
        "zone_id": "night_city_crafting_zone_01",
    },
    "crafting.session.complete": {
        "session_id": str(SESSION),
        "result_item_id": str(IRON),
        "duration_seconds": 60,
        "quality": "epic",
        "experience_gained": 7,
        "materials_used": [MATERIAL],
    },
    "crafting.session.fail": {
        "session_id": str(SESSION),
        "failure_reason": "timeout",
        "duration_seconds": 6,
        "materials_lost": True,
    },
    "crafting.session.cancel": {
        "session_id": str(SESSION),
        "cancel_reason": "player_request",
        "duration_seconds": 6,
        "materials_returned": False,
    },
    "crafting.session.pause": {
        "session_id": str(SESSION),
        "pause_reason": "player_afk",
        "pause_time": "2027-01-15T08:00:00Z",
    },
    "crafting.session.resume": {
        "session_id": str(SESSION),
        "resume_time": "2027-01-15T08:00:00Z",
        "remaining_duration_seconds": 30,
    },
    "crafting.session.progress": {
        "session_id": str(SESSION),
        "progress_percentage": 12.5,
        "status": "active",
        "remaining_time_seconds": 10,
        "current_quality": 1,
        "target_quality": 100,
        "failure_reason": "none",
    },
    "crafting.queue.update": {
        "player_id": str(PLAYER),
        "queue_position": 1,
        "total_in_queue": 2,
        "estimated_wait_seconds": 3,
        "station_type": "laboratory",
        "can_jump_queue": False,
        "jump_queue_cost": 5,
        "type": "priority_boost",
        "session_id": str(SESSION),
    },
    "crafting.materials.update": {
        "session_id": str(SESSION),
        "changes": [{"material_id": str(IRON), "change_type": "quantity_changed", "new_quantity": 1, "new_quality": 2}],
        "notifications": [{"material_id": str(IRON), "notification_type": "quality_too_low", "required_quality": 9}],
    },
}
"""Data of every type, with every field."""


QUEUE_STATUS = {"player_id": str(PLAYER), "queue_position": 1}
"""A place in a queue that names no session."""


def envelope(event_type: str = "crafting.session.start", **fields: object) -> dict[str, Any]:
    """An event as the authority writes it; `fields` replace those of the envelope."""
    usual = {
        "event_id": str(EVENT_ID),
        "event_type": event_type,
        "timestamp": "2027-01-15T08:00:00.250Z",
        "version": "1.0.0",
        "source": "crafting-service",
        "data": DATA.get(event_type, {}),
    }
    return {**usual, **fields}
