"""A table of copies, its core played by the test."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.crafting.material_rules import advance_materials
from craftnet.crafting.queue_rules import advance_queue
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueState, SessionState
from craftnet.providers.upstream.mirror import SessionMirror
from craftnet.providers.upstream.mirror_table import MirrorTable
from craftnet.relay.messages import (
    Follow,
    Followed,
    ReadClock,
    Request,
    Subject,
)
from craftnet.tests.contracts.source import (
    MaterialRecorder,
    SessionRecorder,
    progress,
    quantity,
    queued,
)
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start


def session(version: int) -> SessionState:
    """The state of a session after this number of events."""
    state = advance_session(None, event(start()))
    for number in range(1, version):
        state = advance_session(state, event(progress(float(number)), NOW + number))
    return state


def change(version: int) -> MaterialsChange:
    """The change that led to the materials' state after this number of events."""
    changed = advance_materials(MaterialsState(SESSION), event(start()))
    for number in range(1, version):
        changed = advance_materials(changed.state, event(quantity(100 - number), NOW + number))
    return changed


def queue(version: int) -> QueueChange:
    """The change that led to a player's queue entries after this number of events."""
    changed = advance_queue(QueueState(PLAYER), event(queued(50)))
    for number in range(1, version):
        changed = advance_queue(changed.state, event(queued(50 - number), NOW + number))
    return changed


def followed(state: SessionState | None, materials: int = 0) -> Followed:
    """The core's answer about a session."""
    known = change(materials).state if materials else MaterialsState(SESSION)
    return Followed(Subject.SESSION, SESSION, session=state, materials=known)


FOLLOW = Follow(Subject.SESSION, SESSION)


class TableTestCase(SynchronousTestCase):
    """A table on a clock that stands at `NOW`."""

    def setUp(self) -> None:
        """No core yet."""
        self.clock = SteppedClock(NOW)
        self.table = MirrorTable(self.clock.seconds, 0.0, linger=10.0, lost_after=30.0, wake=lambda: None)

    def connect(self, epoch: str = "one") -> list[Request]:
        """The core is there; answers what it is asked for, the clock aside."""
        self.table.connected(epoch)
        requests = self.table.take_requests()
        self.assertIsInstance(requests[0], ReadClock)
        return requests[1:]

    def copied(self, state: SessionState | None, materials: int = 0) -> SessionMirror:
        """A copy that is listened to."""
        mirror = self.table.open(SessionMirror, SESSION)
        self.table.receive(followed(state, materials))
        self.table.take_requests()
        self.listener, self.materials = SessionRecorder(), MaterialRecorder()
        mirror.session_listeners.add(self.listener)
        mirror.session_listeners.begin(self.listener)
        mirror.material_listeners.add(self.materials)
        mirror.material_listeners.begin(self.materials)
        return mirror
