"""What a WebSocket route names: the thing to be watched. Pure: path and query in, value out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from craftnet.errors import BadRequest, NotFound
from craftnet.identifiers import parse_uuid
from craftnet.messages import Service
from craftnet.positions import Position, parse_position

PREFIX = "/api/v1/crafting-network"
"""Every route is served at the root and under this."""


class CraftingTarget(Struct, frozen=True):
    """`/ws/crafting/{session_id}?player_id=…`, and `&resume=…` for one who comes back."""

    session_id: UUID
    player_id: UUID
    resume: Position | None = None


class QueueTarget(Struct, frozen=True):
    """`/ws/queue/{player_id}`, and `?resume=…` for one who comes back."""

    player_id: UUID
    resume: Position | None = None


class HealthTarget(Struct, frozen=True):
    """`/health/ws?services=…`"""

    services: frozenset[Service]


Target = CraftingTarget | QueueTarget | HealthTarget


def parse_target(path: str, query: Mapping[str, Sequence[str]]) -> Target:
    """The target of a request.

    Arguments:
        path: decoded, without the query.
        query: every value of every parameter.

    Raises:
        NotFound: no WebSocket route has this path.
        BadRequest: an id, a position or a service is not well-formed, missing, or given twice.
    """
    match path.removeprefix(PREFIX).split("/"):
        case ["", "ws", "crafting", session_id]:
            return CraftingTarget(
                parse_uuid(session_id, "session_id"),
                parse_uuid(_single(query, "player_id"), "player_id"),
                _resume(query),
            )
        case ["", "ws", "queue", player_id]:
            return QueueTarget(parse_uuid(player_id, "player_id"), _resume(query))
        case ["", "health", "ws"]:
            return HealthTarget(_services(query.get("services", ())))
        case _:
            raise NotFound("There is no such WebSocket route.")


def _single(query: Mapping[str, Sequence[str]], name: str) -> str:
    values = query.get(name, ())
    if len(values) != 1:
        raise BadRequest(f"Exactly one {name} is needed in the query.")
    return values[0]


def _resume(query: Mapping[str, Sequence[str]]) -> Position | None:
    return parse_position(_single(query, "resume")) if "resume" in query else None


def _services(values: Sequence[str]) -> frozenset[Service]:
    """Repeated or comma-separated; all of them when none is named."""
    names = [name for value in values for name in value.split(",") if name]
    try:
        return frozenset(Service(name) for name in names) or frozenset(Service)
    except ValueError:
        known = ", ".join(service.value for service in Service)
        raise BadRequest(f"services takes any of {known}.") from None
