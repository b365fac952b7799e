"""What the suites of the three sources share: data of events, recorders, and how outcomes are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from zope.interface import implementer

from craftnet.contract.events import (
    Event,
    EventOutcome,
    EventVerdict,
    MaterialsUpdate,
    QueueUpdate,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
)
from craftnet.contract.messages import (
    ChangeType,
    MaterialChange,
    QueueMessageType,
    Station,
    Status,
)
from craftnet.crafting.state import MaterialsChange, QueueChange, QueueState, SessionState
from craftnet.interfaces import (
    IMaterialListener,
    IMaterialSource,
    IQueueListener,
    IQueueSource,
    ISessionListener,
    ISessionSource,
)
from craftnet.tests.support.samples import (
    IRON,
    PLAYER,
    RECIPE,
    SESSION,
)

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase

    Suite = TestCase
else:
    Suite = object  # a suite that were a TestCase itself would be run without a provider.


ACCEPTED, DUPLICATE, REJECTED = EventVerdict.ACCEPTED, EventVerdict.DUPLICATE, EventVerdict.REJECTED


def progress(percent: float, status: Status = Status.ACTIVE, session_id: UUID = SESSION) -> SessionProgress:
    """The data of a report."""
    return SessionProgress(session_id=session_id, progress_percentage=percent, status=status)


def complete(session_id: UUID = SESSION) -> SessionComplete:
    """The data of a session's success."""
    return SessionComplete(session_id=session_id, result_item_id=RECIPE)


def fail(session_id: UUID = SESSION) -> SessionFail:
    """The data of a session's failure."""
    return SessionFail(session_id=session_id, failure_reason="timeout")


def pause(session_id: UUID = SESSION) -> SessionPause:
    """The data of a pause."""
    return SessionPause(session_id=session_id, pause_reason="player_afk")


def queued(
    position: int,
    news: QueueMessageType = QueueMessageType.QUEUE_POSITION,
    *,
    player_id: UUID = PLAYER,
    station: Station | None = Station.LABORATORY,
) -> QueueUpdate:
    """The data of a place in a queue."""
    return QueueUpdate(player_id=player_id, queue_position=position, station_type=station, type=news)


def quantity(amount: int, material_id: UUID = IRON) -> MaterialsUpdate:
    """The data of one material's new quantity."""
    change = MaterialChange(material_id=material_id, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=amount)
    return MaterialsUpdate(session_id=SESSION, changes=(change,))


@implementer(ISessionListener)
class SessionRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[SessionState | None] = []

    def session_changed(self, state: SessionState | None) -> None:
        """Keep it."""
        self.heard.append(state)

    @property
    def versions(self) -> list[int]:
        """The versions heard."""
        return [state.version for state in self.heard if state is not None]


@implementer(IMaterialListener)
class MaterialRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[MaterialsChange] = []

    def materials_changed(self, change: MaterialsChange) -> None:
        """Keep it."""
        self.heard.append(change)


@implementer(IQueueListener)
class QueueRecorder:
    """Records what it receives."""

    def __init__(self) -> None:
        self.heard: list[QueueChange] = []
        self.resets: list[QueueState] = []

    def queue_changed(self, change: QueueChange) -> None:
        """Keep it."""
        self.heard.append(change)

    def queue_reset(self, state: QueueState) -> None:
        """Keep it."""
        self.resets.append(state)


class SourceContract(Suite):
    async def settle(self) -> None:
        """Wait until listeners have heard all that was applied so far."""

    async def verdicts(
        self, source: ISessionSource | IMaterialSource | IQueueSource, events: Sequence[Event]
    ) -> list[EventVerdict]:
        """Apply, check the kind of answer, wait, and give the verdicts."""
        outcomes = await source.apply(events)
        self.assertIsInstance(outcomes, list)
        for outcome in outcomes:
            self.assertIsInstance(outcome, EventOutcome)
            self.assertEqual(outcome.verdict is REJECTED, bool(outcome.reason))
        await self.settle()
        return [outcome.verdict for outcome in outcomes]
