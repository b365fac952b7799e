"""Turns states into rows of the admin API, and implements its searches. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Literal

from craftnet.contract.admin.operations import AuditEntry
from craftnet.contract.admin.sessions import (
    ConnectionRow,
    CraftProgress,
    DeviceRow,
    HistoryEntry,
    MaterialRow,
    QueueRow,
    SessionRow,
    TokenRow,
)
from craftnet.contract.events import EVENT_TYPES, Event, EventOutcome, MaterialsUpdate, QueueUpdate
from craftnet.contract.messages import Station, rfc3339
from craftnet.crafting.state import MaterialsState, QueueState, SessionState
from craftnet.errors import BadRequest
from craftnet.limits.client_address import address_block
from craftnet.observe.audit.events import SecurityEvent

EVENT_NAMES: dict[type, str] = {kind: name for name, kind in EVENT_TYPES.items()}
"""The names of events, by the type of their data."""

_SEARCH = re.compile(r"[0-9a-fA-F]{4,32}")


def session_row(state: SessionState, ahead: float) -> SessionRow:
    """A session in a list; `ahead` is the wall clock's lead over the steady clock, in seconds."""
    progress = state.progress
    return SessionRow(
        session_id=state.session_id,
        player_id=state.player_id,
        recipe_id=state.recipe_id,
        changes=state.version,
        progress=CraftProgress(
            status=progress.status,
            at=rfc3339(progress.anchor + ahead),
            percent=progress.percent,
            remaining_seconds=progress.remaining,
            quality=progress.quality,
            target_quality=progress.target_quality,
            failure_reason=progress.failure_reason,
        ),
    )


def material_rows(state: MaterialsState) -> list[MaterialRow]:
    """The materials of a session."""
    return [
        MaterialRow(material_id=m.material_id, quantity=m.quantity, quality=m.quality, problem=m.problem)
        for m in state.materials
    ]


def queue_rows(state: QueueState, station: Station | None = None) -> list[QueueRow]:
    """The places of a player, in all queues or only in those of one kind of station."""
    return [
        QueueRow(
            player_id=entry.player_id,
            queue_position=entry.status.queue_position,
            since=rfc3339(entry.since),
            station_type=entry.station,
            total_in_queue=entry.status.total_in_queue,
            estimated_wait_seconds=entry.status.estimated_wait_seconds,
            jump_queue_cost=entry.status.jump_queue_cost,
            session_id=entry.session_id,
        )
        for entry in state.entries
        if station is None or entry.station is station
    ]


def verdict(outcome: EventOutcome) -> str:
    """The outcome of an event, as text."""
    return outcome.verdict.value + (f": {outcome.reason}" if outcome.reason else "")


def history_entry(event: Event, outcome: EventOutcome) -> HistoryEntry:
    """An event in the history of a session."""
    data = event.data
    kind: Literal["event", "materials", "queue"] = "event"
    if isinstance(data, MaterialsUpdate | QueueUpdate):
        kind = "materials" if isinstance(data, MaterialsUpdate) else "queue"
    text = f"{EVENT_NAMES[type(data)]}: {verdict(outcome)}"
    return HistoryEntry(timestamp=rfc3339(event.arrived.wall), kind=kind, text=text)


def audit_entry(event: SecurityEvent, node: str) -> AuditEntry:
    """A security event, with the network of the client instead of its address."""
    fields = {
        "player_id": None if event.player_id is None else str(event.player_id),
        "address": address_block(event.address) if event.address else None,
        "transport": event.transport or None,
        "route": event.route or None,
        "status": event.status,
        "actor": event.actor or None,
        "reason": event.reason or None,
        "trace_id": event.trace_id or None,
        "count": event.count if event.count > 1 else None,
        "since": None if event.since is None else rfc3339(event.since),
        **(event.details or {}),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return AuditEntry(timestamp=rfc3339(event.time), node=node, event=event.type.value, fields=known)


def tokens(connections: Iterable[ConnectionRow]) -> list[TokenRow]:
    """The distinct tokens of connections."""
    found: dict[tuple[str | None, str], list[ConnectionRow]] = defaultdict(list)
    for row in connections:
        found[row.token_id, row.expires].append(row)
    return [
        TokenRow(
            connections=len(rows), expires=expires, scopes=rows[0].scopes, token_id=token_id, issued=rows[0].issued
        )
        for (token_id, expires), rows in found.items()
    ]


def devices(connections: Iterable[ConnectionRow]) -> list[DeviceRow]:
    """Groups connections by client and network."""
    found: dict[tuple[str, str], list[ConnectionRow]] = defaultdict(list)
    for row in connections:
        found[row.address, row.client or ""].append(row)
    return [
        DeviceRow(
            address=address,
            client=client or None,
            connections=len(rows),
            transports=sorted({row.transport for row in rows}),
        )
        for (address, client), rows in sorted(found.items())
    ]


def session_search(text: str | None) -> Callable[[SessionState], bool] | None:
    """The condition of a search; None without a search.

    Raises:
        BadRequest: the text is not the start of a UUID.
    """
    if not text:
        return None
    digits = text.replace("-", "").lower()
    if not _SEARCH.fullmatch(digits):
        raise BadRequest("search takes a UUID, or the first 4 or more hexadecimal digits of one.")
    shift = 128 - 4 * len(digits)
    wanted = int(digits, 16)

    def matches(state: SessionState) -> bool:
        recipe = state.recipe_id
        return (
            state.session_id.int >> shift == wanted
            or state.player_id.int >> shift == wanted
            or (recipe is not None and recipe.int >> shift == wanted)
        )

    return matches


def queue_search(station: Station | None) -> Callable[[QueueState], bool]:
    """The condition that a player waits, at any station or at one kind of station."""
    if station is None:
        return lambda state: bool(state.entries)
    return lambda state: any(entry.station is station for entry in state.entries)
