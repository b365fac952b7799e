"""The parts of the reference about messages, bodies and events: each type with its fields and an example."""

from __future__ import annotations

import re
from enum import Enum
from types import ModuleType
from typing import TypeVar

from describe import (
    PAGES,
    attribute_texts,
    console,
    example,
    fields_text,
    paragraph,
    struct_fields,
    values_text,
)
from msgspec import Struct
from msgspec import inspect as types

from craftnet.clocks import Moment
from craftnet.contract import devices, envelopes, events, messages
from craftnet.contract import http_bodies as bodies
from craftnet.contract.admin import feed as admin_feed
from craftnet.contract.admin import operations, overview, sessions
from craftnet.observe.audit import events as audit
from craftnet.protocols.udp.server import player_reports
from craftnet.protocols.websocket.core import token_renewal

T = TypeVar("T")

PAGES[messages.__name__] = PAGES[devices.__name__] = "messages.md"
PAGES[events.__name__] = "events.md"
PAGES[audit.__name__] = "audit.md"
PAGES[bodies.__name__] = PAGES[player_reports.__name__] = "http.md"
PAGES.update(dict.fromkeys([module.__name__ for module in (overview, sessions, operations, admin_feed)], "admin.md"))


def struct_section(cls: type[Struct], level: int = 3) -> str:
    """A heading, the docstring and the fields of a struct."""
    summary = "\n\n".join(paragraph(each) for each in (cls.__doc__ or "").split("\n\n"))
    return f"{'#' * level} {cls.__name__}\n\n{summary}\n\n{fields_text(cls)}\n"


def feed(cls: type[Struct], examples: list[tuple[str, dict[str, object]]]) -> str:
    """A message of a feed with an example of every type; raises AssertionError when a type has none."""
    kind = next(field.type for field in struct_fields(cls) if field.name == "type")
    known = {each.value for each in kind.cls} if isinstance(kind, types.EnumType) else set(kind.values)  # type: ignore[attr-defined]
    shown = {str(message["type"]) for _, message in examples}
    assert known == shown, f"{cls.__name__}: types without an example, or examples of no type: {known ^ shown}"
    blocks = [f"{paragraph(title)}\n\n{console(message)}\n" for title, message in examples]
    return struct_section(cls) + "\n" + "\n".join(blocks)


def crafting_messages() -> str:
    """Of the feed of a session."""
    cls, no_data = messages.WebSocketCraftingMessage, ("progress_data", "material_data", "queue_data")
    plain = (*no_data, "recovered")

    def data(status: str, percent: int, remaining: int, **more: object) -> dict[str, object]:
        without = () if "failure_reason" in more else ("failure_reason",)
        given = {"status": status, "progress_percentage": percent, "remaining_time_seconds": remaining, **more}
        return example(messages.CraftingProgressData, without, **given)

    return feed(cls, [
        ("`progress_update`: the state of the craft, which advances linearly from there.",
         example(cls, plain, type="progress_update", progress_data=data("active", 42, 174))),
        ("`crafting_complete`: the craft is done. Nothing follows.",
         example(cls, plain, type="crafting_complete", progress_data=data("completed", 100, 0))),
        ("`crafting_failed`: the craft failed or was cancelled. Nothing follows.",
         example(cls, plain, type="crafting_failed",
                 progress_data=data("failed", 42, 0, failure_reason="cancelled:player_request"))),
        ("`material_notification`: a problem with a material, or the end of one.",
         example(cls, plain, type="material_notification", material_data=example(messages.MaterialNotification))),
        ("`queue_status`: the player's place in a queue in which the session waits.",
         example(cls, plain, type="queue_status", queue_data=example(messages.QueueStatusData))),
        ("`queue_status` with `recovered` and without data: the answer to `?resume=`.",
         example(cls, no_data, type="queue_status", recovered=True)),
        ("`progress_update` without data: a heartbeat, sent only after `?heartbeat=`.",
         example(cls, plain, type="progress_update")),
    ])  # fmt: skip


def queue_messages() -> str:
    """Of the feed of a player's queues."""
    cls, no_data = messages.WebSocketQueueMessage, ("queue_position", "estimated_wait_time", "station_type")
    shown = [
        (f"`{news.value}`: {attribute_texts(messages.QueueMessageType)[news.name]}",
         example(cls, ("recovered",), type=news.value))
        for news in messages.QueueMessageType
    ]  # fmt: skip
    return feed(cls, [
        *shown,
        ("`queue_position` with `recovered` and without data: the answer to `?resume=`.",
         example(cls, no_data, type="queue_position", recovered=False)),
        ("`queue_position` without data: a heartbeat, sent only after `?heartbeat=`.",
         example(cls, (*no_data, "recovered"), type="queue_position")),
    ])  # fmt: skip


def health_messages() -> str:
    """Of the health feed."""
    cls = messages.WebSocketHealthMessage
    redis = {"status": "critical", "message": "out of reach", "response_time": 2000}
    well = example(messages.HealthResponse, ("message",), checks={"sessions": {"status": "ok", "response_time": 1}})
    bad = example(messages.HealthResponse, status="critical", message="sessions: out of reach",
                  checks={"sessions": redis})  # fmt: skip
    return feed(cls, [
        ("`health_update`: the report of a service, at every `--health-interval`.",
         example(cls, type="health_update", health=well)),
        ("`health_alert`: a check has another status than before.",
         example(cls, type="health_alert", health={**bad, "status": "degraded"})),
        ("`service_down`: a service has become critical.", example(cls, type="service_down", health=bad)),
    ])  # fmt: skip


def token_messages() -> str:
    """What a client and the server say about a fresh token."""
    shown = (token_renewal.TokenOffer, token_renewal.TokenAccepted, token_renewal.TokenRefused)
    return "\n".join(struct_section(cls) + "\n" + console(example(cls)) + "\n" for cls in shown)


def device_messages() -> str:
    """What the server and a device say about a player's devices."""
    cursor = example(devices.DeviceCursor, ("session_id",))
    phone = example(devices.DeviceState, online=True, cursors=[cursor])
    desk = example(devices.DeviceState, ("cursors",), name="desk", online=False)
    shown = {
        devices.DevicesMessage: example(devices.DevicesMessage, devices=[phone, desk], cursors=[cursor]),
        devices.DeviceCursorMessage: example(devices.DeviceCursorMessage, cursor=cursor),
        devices.DeviceRefused: example(devices.DeviceRefused, code=400),
        devices.Seen: example(devices.Seen, ("session_id",)),
        devices.Dismissed: example(devices.Dismissed),
    }
    sections = [f"{struct_section(cls)}\n{console(text)}\n" for cls, text in shown.items()]
    return "\n".join([*sections, *map(struct_section, (devices.DeviceState, devices.DeviceCursor))])


def own(module: ModuleType, kind: type[T]) -> list[type[T]]:
    """The classes of this kind that a module defines, in its order."""
    found = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    return [each for each in found if issubclass(each, kind)]


def values_section(cls: type[Enum]) -> str:
    """A heading, the docstring and the values of an enum."""
    return f"### {cls.__name__}\n\n{cls.__doc__}\n\n{values_text(cls)}\n"


def shared_types() -> str:
    """The types that messages consist of: everything that is neither a message itself nor shown with the events."""
    shown_separately = {"WebSocketCraftingMessage", "WebSocketQueueMessage", "WebSocketHealthMessage", *PAGES}
    structs = [cls for cls in own(messages, Struct) if cls.__name__ not in shown_separately]
    enums = [cls for cls in own(messages, Enum) if cls.__name__ not in shown_separately]
    return "\n".join([*map(struct_section, structs), *map(values_section, enums)])


def http_bodies() -> str:
    """The JSON bodies of requests and answers."""
    snapshots = (bodies.CraftingSnapshot, bodies.QueueSnapshot)  # FeedSnapshot describes both.
    own_bodies = [each for each in own(bodies, Struct) if each not in snapshots]
    shown = [*own_bodies, player_reports.ProgressComparison, player_reports.MaterialsComparison]
    sections = [f"{struct_section(cls)}\n{console(example(cls, ('details',)))}\n" for cls in shown]
    return "\n".join([*sections, struct_section(player_reports.HeldMaterial), *map(values_section, own(bodies, Enum))])


def admin_bodies() -> str:
    """The answers of the admin API and the bodies of its actions; those of a route with an example."""
    lines = []
    for module in (overview, sessions, operations):
        for cls in own(module, Struct):
            lines.append(struct_section(cls))
            if re.match(r"Answer of|Body of", cls.__doc__ or ""):
                lines.append(console(example(cls)) + "\n")
    return "\n".join([*lines, *map(values_section, own(overview, Enum))])


def admin_messages() -> str:
    """The messages of the admin feed, each with an example."""
    shown = own(admin_feed, Struct)
    return "\n".join(
        struct_section(cls) + ("" if cls is admin_feed.TraceEntry else "\n" + console(example(cls)) + "\n")
        for cls in shown
    )


def event_envelope() -> str:
    """The envelope of every event."""
    return fields_text(envelopes._Unread)  # its fields are what the reader of an event's JSON meets.


def event_types() -> str:
    """Every type of event: its data, and a whole event that the server accepts."""
    sections = []
    for name, cls in events.EVENT_TYPES.items():
        whole = {**example(envelopes._Envelope, ("session_id", "player_id", "metadata", "correlation_id", "trace_id"),
                           version="1.0.0", source="crafting.session"), "event_type": name,
                 "data": example(cls, _left_out(name))}  # fmt: skip
        octets = messages._encoder.encode(whole)
        decoded = envelopes.decode(octets, Moment(0.0, 0.0))
        assert isinstance(decoded, events.Event), f"{name}: {decoded}"
        summary = (cls.__doc__ or "").partition(": ")[2]
        sections.append(
            f"### {name}\n\n{paragraph(summary[:1].upper() + summary[1:])}\n\n{fields_text(cls)}\n\n{console(whole)}\n"
        )
    shown = (events.EventMaterial, messages.MaterialChange)
    return "\n".join([*sections, *map(struct_section, shown), values_section(messages.ChangeType)])


def _left_out(event_type: str) -> tuple[str, ...]:
    return ("failure_reason",) if event_type == "crafting.session.progress" else ()
