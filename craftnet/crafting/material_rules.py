"""A session's materials: the result of an authority's update. Pure: shared by every provider that stores them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from craftnet.contract.events import Event, MaterialsUpdate, SessionStart
from craftnet.contract.messages import ChangeType, MaterialChange, MaterialNotification, MaterialProblem
from craftnet.crafting.event_order import check_order, effective_time, first_stamps, stamp, with_stamp
from craftnet.crafting.state import Material, MaterialsChange, MaterialsState
from craftnet.errors import EventRejected, not_started, started_before

NEEDED_VALUES = {
    ChangeType.ADDED: ("new_quantity",),
    ChangeType.QUANTITY_CHANGED: ("new_quantity",),
    ChangeType.QUALITY_CHANGED: ("new_quality",),
    ChangeType.REMOVED: (),
}
"""The value without which a change of each type is meaningless."""

MAX_MATERIALS = 200
"""Maximum number of different materials of one session."""


def advance_materials(state: MaterialsState, event: Event) -> MaterialsChange:
    """The materials after `event`, with the changes and notifications that led to them.

    Raises:
        EventRejected: the event is not about materials, is empty, contradicts the state, is older than it, or names too
            many materials; nothing changes.
    """
    if state.version and isinstance(event.data, SessionStart):
        raise started_before()
    if not state.version and not isinstance(event.data, SessionStart):
        raise not_started()
    stamps = with_stamp(state.stamps, stamp(event)) if state.stamps else first_stamps(event)
    check_order(stamps, event)
    match event.data:
        case SessionStart(materials=brought):
            changes = tuple(
                MaterialChange(
                    material_id=material.material_id,
                    change_type=ChangeType.ADDED,
                    new_quantity=material.quantity,
                    new_quality=material.quality_level,
                )
                for material in brought or ()
            )
            notifications: tuple[MaterialNotification, ...] = ()
        case MaterialsUpdate(changes=changes, notifications=notifications):
            _check_content(changes, notifications)
        case other:
            raise EventRejected(f"not a materials event: {type(other).__name__}")
    materials = _notified(_changed({item.material_id: item for item in state.materials}, changes), notifications)
    if len(materials) > MAX_MATERIALS:
        raise EventRejected(f"more than {MAX_MATERIALS} materials in one session")
    after = MaterialsState(
        state.session_id,
        state.version + 1,
        tuple(materials.values()),
        effective_time(event.when, event.arrived.wall, state.since),
        stamps,
    )
    return MaterialsChange(after, changes, notifications, event.accepted, event.trace)


def _check_content(changes: Sequence[MaterialChange], notifications: Sequence[MaterialNotification]) -> None:
    """Refuses an empty update: it usually has a misspelt field, which would be lost silently."""
    if not changes and not notifications:
        raise EventRejected("data has neither changes nor notifications; send at least one of them")
    for index, change in enumerate(changes):
        for name in NEEDED_VALUES[change.change_type]:
            if getattr(change, name) is None:
                raise EventRejected(f"changes[{index}] is {change.change_type.value} without its {name}; send it")


def _changed(materials: dict[UUID, Material], changes: Iterable[MaterialChange]) -> dict[UUID, Material]:
    for change in changes:
        if change.change_type is ChangeType.REMOVED:
            materials.pop(change.material_id, None)
            continue
        before = materials.get(change.material_id) or Material(change.material_id)
        materials[change.material_id] = replace(
            before,
            quantity=before.quantity if change.new_quantity is None else change.new_quantity,
            quality=before.quality if change.new_quality is None else change.new_quality,
        )
    return materials


def _notified(materials: dict[UUID, Material], notifications: Iterable[MaterialNotification]) -> dict[UUID, Material]:
    for notification in notifications:
        before = materials.get(notification.material_id) or Material(notification.material_id)
        restored = notification.notification_type is MaterialProblem.MATERIAL_RESTORED
        available = notification.available_quantity
        materials[notification.material_id] = replace(
            before,
            quantity=before.quantity if available is None else available,
            quality=before.quality if notification.available_quality is None else notification.available_quality,
            problem=None if restored else notification,
        )
    return materials


def materials_between(old: MaterialsState, new: MaterialsState) -> tuple[MaterialsChange]:
    """The change that leads from one state to another, where the true ones were missed: everything as one."""
    before = {material.material_id: material for material in old.materials}
    changes: list[MaterialChange] = []
    notifications: list[MaterialNotification] = []
    for material in new.materials:
        known = before.pop(material.material_id, None)
        if known is None or (known.quantity, known.quality) != (material.quantity, material.quality):
            changes.append(
                MaterialChange(
                    material_id=material.material_id,
                    change_type=ChangeType.ADDED if known is None else ChangeType.QUANTITY_CHANGED,
                    new_quantity=material.quantity,
                    new_quality=material.quality,
                )
            )
        problem = known.problem if known is not None else None
        if material.problem is not None and material.problem != problem:
            notifications.append(material.problem)
        elif material.problem is None and problem is not None:
            notifications.append(
                MaterialNotification(
                    material_id=material.material_id,
                    notification_type=MaterialProblem.MATERIAL_RESTORED,
                    available_quantity=material.quantity,
                )
            )
    changes.extend(MaterialChange(material_id=gone, change_type=ChangeType.REMOVED) for gone in before)
    return (MaterialsChange(new, tuple(changes), tuple(notifications)),)
