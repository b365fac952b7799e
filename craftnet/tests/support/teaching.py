"""Completed crafts from which a server learns that the authority's estimates are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from craftnet.contract.messages import rfc3339
from craftnet.tests.support.live import envelope
from craftnet.tests.support.samples import IRON, OTHER_PLAYER, RECIPE

CRAFTS = 40
"""Enough to forecast by."""


def taught_crafts(now: float, estimate: int = 60, taken: int = 90) -> Iterator[dict[str, Any]]:
    """The events of crafts that are estimated at `estimate` seconds and complete at `now`, after `taken` seconds."""
    for _ in range(CRAFTS):
        session_id = str(uuid4())
        start = {
            "session_id": session_id,
            "recipe_id": str(RECIPE),
            "player_id": str(OTHER_PLAYER),
            "estimated_duration_seconds": estimate,
        }
        yield envelope("crafting.session.start", start, timestamp=rfc3339(now - taken))
        yield envelope(
            "crafting.session.complete",
            {"session_id": session_id, "result_item_id": str(IRON)},
            timestamp=rfc3339(now),
        )
