"""The three kinds of things that are kept, each in the words of its rule: what they share, a ledger need not repeat.

States and changes are kept as JSON: any tool can read them, and fields that are added later do no harm. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from craftnet import lifecycle, stock, waiting
from craftnet.errors import misrouted, names_no_session
from craftnet.events import Event, QueueUpdate, SessionData
from craftnet.interfaces import IMaterialListener, IQueueListener, ISessionListener
from craftnet.messages import ChangeType, MaterialChange, MaterialNotification, MaterialProblem, QueueNews
from craftnet.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState

State = TypeVar("State")
Change = TypeVar("Change")
Listener = TypeVar("Listener")
Dated = TypeVar("Dated")


class Subject(Struct, Generic[State, Change, Listener], frozen=True):
    """One kind.

    Attributes:
        name: in the names of keys, and in the streams.
        recalled: whether those who come back are told what they missed, and not only the newest.
        key: which thing an event is about.
            Raises `EventRejected` for an event that is about none.
        blank: the state of a thing that nothing is known of, from a version on.
        version: of a state.
        advance: the rule.
            Raises `EventRejected`.
        after: the state that a change led to.
        between: changes that lead from one state to another, where the true ones were not heard. A session's change is
            its state; that of a session which was forgotten is None.
        tell: give a listener a change.
        reset: give a listener a state that differs from the one before in its version only, so that no change leads to
            it.
        read_state, read_change: from JSON.
            Raise `msgspec.DecodeError`.
    """

    name: str
    recalled: bool
    key: Callable[[Event], UUID]
    blank: Callable[[UUID, int], State]
    version: Callable[[State], int]
    advance: Callable[[State, Event], Change]
    after: Callable[[Change], State]
    between: Callable[[State, State], Sequence[Change]]
    tell: Callable[[Listener, Change], None]
    reset: Callable[[Listener, State], None]
    read_state: Callable[[bytes], State]
    read_change: Callable[[bytes], Change]


def shifted(value: Dated, seconds: float) -> Dated:
    """A state or a change as a clock has it that is ahead by so many seconds. Dates that others stated stay."""
    if isinstance(value, SessionState):
        progress = replace(value.progress, anchor=value.progress.anchor + seconds)
        return replace(value, progress=progress, accepted=value.accepted and value.accepted + seconds)
    if isinstance(value, MaterialsChange | QueueChange):
        return replace(value, accepted=value.accepted and value.accepted + seconds)
    return value


def _session_of(event: Event) -> UUID:
    if not isinstance(event.data, SessionData):
        raise misrouted(event.data, "session")
    return event.data.session_id


def _tell_session(listener: ISessionListener, state: SessionState | None) -> None:
    listener.session_changed(state)


SESSIONS: Subject[SessionState | None, SessionState | None, ISessionListener] = Subject(
    name="session",
    recalled=False,
    key=_session_of,
    blank=lambda key, version: None,
    version=lambda state: 0 if state is None else state.version,
    advance=lifecycle.advance,
    after=lambda change: change,
    between=lambda old, new: (new,),
    tell=_tell_session,
    reset=_tell_session,
    read_state=msgspec.json.Decoder(SessionState).decode,
    read_change=msgspec.json.Decoder(SessionState).decode,
)


def _materials_of(event: Event) -> UUID:
    if event.session_id is None:
        raise names_no_session()
    return event.session_id


def _tell_materials(listener: IMaterialListener, change: MaterialsChange) -> None:
    listener.materials_changed(change)


def _materials_between(old: MaterialsState, new: MaterialsState) -> tuple[MaterialsChange]:
    """Everything in one change."""
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


MATERIALS: Subject[MaterialsState, MaterialsChange, IMaterialListener] = Subject(
    name="materials",
    recalled=True,
    key=_materials_of,
    blank=lambda key, version: MaterialsState(key),
    version=lambda state: state.version,
    advance=stock.advance,
    after=lambda change: change.state,
    between=_materials_between,
    tell=_tell_materials,
    reset=lambda listener, state: _tell_materials(listener, MaterialsChange(state)),
    read_state=msgspec.json.Decoder(MaterialsState).decode,
    read_change=msgspec.json.Decoder(MaterialsChange).decode,
)


def _player_of(event: Event) -> UUID:
    if not isinstance(event.data, QueueUpdate):
        raise misrouted(event.data, "queue")
    return event.data.player_id


def _tell_queue(listener: IQueueListener, change: QueueChange) -> None:
    listener.queue_changed(change)


def _queue_between(old: QueueState, new: QueueState) -> list[QueueChange]:
    """A place that is gone, nobody knows why any more, timed out: the player will look for it."""
    before: dict[waiting.Key, QueueEntry] = {waiting.key(entry): entry for entry in old.entries}
    changes = []
    for entry in new.entries:
        if before.pop(waiting.key(entry), None) != entry:
            changes.append(QueueChange(new, entry, QueueNews.QUEUE_POSITION, True))
    changes.extend(QueueChange(new, gone, QueueNews.QUEUE_TIMEOUT, False) for gone in before.values())
    return changes


QUEUES: Subject[QueueState, QueueChange, IQueueListener] = Subject(
    name="queue",
    recalled=True,
    key=_player_of,
    blank=QueueState,
    version=lambda state: state.version,
    advance=waiting.advance,
    after=lambda change: change.state,
    between=_queue_between,
    tell=_tell_queue,
    reset=lambda listener, state: listener.queue_reset(state),
    read_state=msgspec.json.Decoder(QueueState).decode,
    read_change=msgspec.json.Decoder(QueueChange).decode,
)
