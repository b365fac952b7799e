"""A shortage of a material: the update that reports it, and the one that reports its end. Pure."""

from __future__ import annotations

from random import Random
from uuid import UUID

from craftnet.contract.events import EventMaterial, MaterialsUpdate
from craftnet.contract.messages import ChangeType, MaterialChange, MaterialNotification, MaterialProblem

_PROBLEMS = (
    MaterialProblem.INSUFFICIENT_QUANTITY,
    MaterialProblem.QUALITY_TOO_LOW,
    MaterialProblem.MATERIAL_UNAVAILABLE,
)


def shortage(session_id: UUID, material: EventMaterial, dice: Random) -> tuple[MaterialsUpdate, MaterialsUpdate]:
    """The update that reports a problem with `material`, and the one that reports its end.

    Arguments:
        material: what the craft still needs; its quality is known.
    """
    needed, wanted = material.quantity, material.quality_level or 1
    problem = dice.choice(_PROBLEMS)
    if problem is MaterialProblem.QUALITY_TOO_LOW:
        poor = max(1, wanted - dice.randint(5, 25))
        notification = MaterialNotification(
            material_id=material.material_id,
            notification_type=problem,
            required_quality=wanted,
            available_quality=poor,
        )
        change, mended = (_quality(material.material_id, value) for value in (poor, wanted))
    else:
        left = 0 if problem is MaterialProblem.MATERIAL_UNAVAILABLE else dice.randrange(needed)
        notification = MaterialNotification(
            material_id=material.material_id,
            notification_type=problem,
            required_quantity=needed,
            available_quantity=left,
        )
        change, mended = (quantity_changed(material.material_id, value) for value in (left, needed))
    restored = MaterialNotification(
        material_id=material.material_id,
        notification_type=MaterialProblem.MATERIAL_RESTORED,
        available_quantity=needed,
        available_quality=wanted,
    )
    return (
        MaterialsUpdate(session_id=session_id, changes=(change,), notifications=(notification,)),
        MaterialsUpdate(session_id=session_id, changes=(mended,), notifications=(restored,)),
    )


def quantity_changed(material_id: UUID, quantity: int) -> MaterialChange:
    """The change of a material's quantity."""
    return MaterialChange(material_id=material_id, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=quantity)


def _quality(material_id: UUID, quality: int) -> MaterialChange:
    return MaterialChange(material_id=material_id, change_type=ChangeType.QUALITY_CHANGED, new_quality=quality)
