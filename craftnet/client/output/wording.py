"""Describes states in words for people. Pure; removes control characters from everything that a server sends."""

from __future__ import annotations

import math
from uuid import UUID

from craftnet.contract.messages import (
    CraftingProgressData,
    MaterialNotification,
    MaterialProblem,
    QueueStatusData,
    WebSocketCraftingMessage,
    WebSocketQueueMessage,
)


def printable(text: str) -> str:
    """The text without control characters that could steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def clock(seconds: float) -> str:
    """A duration, rounded up to seconds: ``1:05``, ``2:00:00``."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def quality(current: int | None, target: int | None) -> str:
    """A craft's quality; empty when it is unknown."""
    if current is None:
        return "" if target is None else f"target quality {target}"
    return f"quality {current}" if target is None else f"quality {current} of {target}"


def failure(reason: str | None) -> str:
    """Why a craft failed; a cancelled one has the reason ``cancelled:WHY``."""
    cancelled, colon, why = (reason or "").partition(":")
    if colon and cancelled == "cancelled":
        return f"cancelled ({printable(why)})"
    return f"failed ({printable(reason or 'no reason given')})"


def material(news: MaterialNotification) -> str:
    """A material notification in words."""
    named = f"material {_short(news.material_id)}"
    match news.notification_type:
        case MaterialProblem.INSUFFICIENT_QUANTITY:
            return f"{named}: {_share('there are', news.available_quantity, news.required_quantity)}"
        case MaterialProblem.QUALITY_TOO_LOW:
            return f"{named}: {_share('quality', news.available_quality, news.required_quality)}"
        case MaterialProblem.MATERIAL_UNAVAILABLE:
            return f"{named}: not available"
        case MaterialProblem.MATERIAL_RESTORED:
            return f"{named}: fine again"


def queue(status: QueueStatusData) -> str:
    """A player's queue status in words."""
    text = f"place {status.queue_position}"
    if status.total_in_queue is not None:
        text += f" of {status.total_in_queue}"
    text += " in the queue"
    if status.station_type is not None:
        text += f" for the {status.station_type.value.replace('_', ' ')}"
    if status.estimated_wait_seconds is not None:
        text += f", about {clock(status.estimated_wait_seconds)} to wait"
    return text


def queue_message(news: WebSocketQueueMessage) -> str:
    """One message of a queue feed that has a place."""
    status = QueueStatusData(
        player_id=news.player_id, queue_position=news.queue_position or 1, station_type=news.station_type
    )
    place = queue(status)
    return place if news.type == "queue_position" else f"{news.type.replace('_', ' ')}, {place}"


def message(news: WebSocketCraftingMessage) -> str:
    """One message of a crafting feed as a line."""
    if news.type == "crafting_complete":
        reached = news.progress_data.current_quality if news.progress_data else None
        return ", ".join(filter(None, ("complete", quality(reached, None))))
    if news.type == "crafting_failed":
        return failure(news.progress_data.failure_reason if news.progress_data else None)
    if news.recovered is not None:
        return "reconnected; missed messages follow" if news.recovered else "reconnected; the current state follows"
    parts = []
    if news.progress_data is not None:
        parts.append(_progress(news.progress_data))
    if news.material_data is not None:
        parts.append(material(news.material_data))
    if news.queue_data is not None:
        parts.append(queue(news.queue_data))
    return "; ".join(parts) or news.type.replace("_", " ")


def expected(p50: float | None, p90: float | None) -> str:
    """How long a craft is expected to take still; empty when the server does not say so."""
    return "" if p50 is None or p90 is None else f"expected {clock(p50)}, 9 in 10 within {clock(p90)}"


def _progress(data: CraftingProgressData) -> str:
    left = "" if data.remaining_time_seconds is None else f"{clock(data.remaining_time_seconds)} to go"
    known = (
        f"{data.progress_percentage:3} % {data.status.value}",
        left,
        expected(data.expected_seconds_p50, data.expected_seconds_p90),
        quality(data.current_quality, data.target_quality),
    )
    return ", ".join(filter(None, known))


def _short(identity: UUID) -> str:
    return str(identity)[:8]


def _share(what: str, have: int | None, need: int | None) -> str:
    if have is None and need is None:
        return f"{what} too few" if what == "there are" else f"{what} too low"
    if have is None:
        return f"{need} needed"
    return f"{what} {have}" if need is None else f"{what} {have}, {need} needed"
