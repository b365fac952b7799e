"""Makes a preset dictionary for `craftnet.json.lz4.v1` from the feeds' messages, the most frequent last.

A published dictionary never changes. To publish a better one, write it under the next id and add that to
craftnet/protocols/websocket/core/compression.py.

    python bench/dictionary.py craftnet/protocols/websocket/dictionaries/2.lz4dict
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from craftnet.contract.messages import (
    Check,
    CraftingProgressData,
    HealthResponse,
    HealthStatus,
    MaterialNotification,
    MaterialProblem,
    QueueMessageType,
    QueueStatusData,
    Station,
    Status,
    WebSocketCraftingMessage,
    WebSocketHealthMessage,
    WebSocketQueueMessage,
    to_json,
)

ID = UUID("00000000-0000-4000-8000-000000000000")
TIME = "2026-11-23T00:00:00.000Z"


def health() -> Iterator[Struct]:
    """Messages of the health feed, which are rare and long."""
    for kind, status in (
        ("service_down", HealthStatus.CRITICAL),
        ("health_alert", HealthStatus.DEGRADED),
        ("health_update", HealthStatus.OK),
    ):
        checks = {name: Check(status=status, response_time=0) for name in ("sessions", "materials", "queues")}
        report = HealthResponse(status=status, timestamp=TIME, version="0.1.0", uptime=100, checks=checks)
        yield WebSocketHealthMessage(type=kind, timestamp=TIME, health=report, message_timestamp=TIME)  # type: ignore[arg-type]  # one of the three.


def queue() -> Iterator[Struct]:
    """Messages of a queue feed, one for each kind of station."""
    for news, station in zip(
        (
            QueueMessageType.QUEUE_TIMEOUT,
            QueueMessageType.PRIORITY_BOOST,
            QueueMessageType.STATION_AVAILABLE,
            *[QueueMessageType.QUEUE_POSITION] * 2,
        ),
        Station,
        strict=True,
    ):
        yield WebSocketQueueMessage(
            type=news,
            player_id=ID,
            timestamp=TIME,
            queue_position=1,
            estimated_wait_time=10,
            station_type=station,
            epoch="000000000000",
            version=10,
        )


def crafting() -> Iterator[Struct]:
    """Messages of a crafting feed."""
    queue_status = QueueStatusData(
        player_id=ID,
        queue_position=1,
        total_in_queue=2,
        estimated_wait_seconds=10,
        station_type=Station.BASIC_WORKBENCH,
        can_jump_queue=False,
        jump_queue_cost=100,
    )
    yield WebSocketCraftingMessage(
        type="queue_status", session_id=ID, timestamp=TIME, epoch="000000000000", version=10, recovered=True
    )
    yield WebSocketCraftingMessage(
        type="queue_status", session_id=ID, timestamp=TIME, queue_data=queue_status, epoch="000000000000", version=10
    )
    for problem in MaterialProblem:
        notification = MaterialNotification(
            material_id=ID,
            notification_type=problem,
            required_quantity=10,
            available_quantity=1,
            required_quality=50,
            available_quality=10,
        )
        yield WebSocketCraftingMessage(
            type="material_notification",
            session_id=ID,
            timestamp=TIME,
            material_data=notification,
            epoch="000000000000",
            version=10,
        )
    for kind, status, reason in (
        ("crafting_failed", Status.FAILED, "cancelled:player_request"),
        ("crafting_complete", Status.COMPLETED, None),
        ("progress_update", Status.INTERRUPTED, None),
        ("progress_update", Status.PAUSED, None),
        ("progress_update", Status.ACTIVE, None),
    ):
        data = CraftingProgressData(
            session_id=ID,
            progress_percentage=10,
            status=status,
            remaining_time_seconds=10,
            current_quality=50,
            target_quality=50,
            failure_reason=reason,
        )
        yield WebSocketCraftingMessage(
            type=kind,  # type: ignore[arg-type]  # one of those it may be.
            session_id=ID,
            timestamp=TIME,
            progress_data=data,
            epoch="000000000000",
            version=10,
        )


def main() -> None:
    """Writes the file."""
    (target,) = sys.argv[1:]
    Path(target).write_bytes(b"".join(to_json(message) for part in (health, queue, crafting) for message in part()))


if __name__ == "__main__":
    main()
