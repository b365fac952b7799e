"""The copies of an edge after an interruption, in the same epoch and in another one."""

from __future__ import annotations

from craftnet.contract.messages import MaterialNotification, MaterialProblem, Status
from craftnet.crafting.state import MaterialsState, QueueState
from craftnet.errors import Unavailable
from craftnet.providers.upstream.mirror import QueueMirror, SessionMirror
from craftnet.relay.messages import (
    EpochChanged,
    Followed,
    RelayedMaterials,
    RelayedSession,
    Subject,
)
from craftnet.tests.contracts.source import (
    QueueRecorder,
)
from craftnet.tests.support.mirrors import FOLLOW, TableTestCase, change, followed, queue, session
from craftnet.tests.support.samples import IRON, PLAYER, SESSION


class InterruptionTests(TableTestCase):
    def test_same_epoch(self) -> None:
        """Positions stay what they are; listeners receive what has changed."""
        self.connect()
        self.copied(session(2), 1)
        self.table.disconnected("The core is away.")
        self.assertEqual(self.table.epoch, "one")
        self.assertRaises(Unavailable, self.table.open, SessionMirror, SESSION)
        self.assertEqual(self.connect(), [FOLLOW])
        self.table.receive(RelayedSession(SESSION, session(3)))  # the answer will have it.
        self.assertEqual((self.listener.heard, self.table.epoch), ([], "one"))
        self.table.receive(followed(session(4), 3))
        self.assertEqual(self.listener.versions, [4])
        self.assertEqual([one.state.version for one in self.materials.heard], [3])

    def test_nothing_has_changed(self) -> None:
        self.connect()
        self.copied(session(2), 1)
        self.table.disconnected("The core is away.")
        self.connect()
        self.table.receive(followed(session(2), 1))
        self.assertEqual((self.listener.heard, self.materials.heard), ([], []))

    def test_ended_meanwhile(self) -> None:
        self.connect()
        self.copied(session(2), 1)
        self.table.disconnected("The core is away.")
        self.connect()
        self.table.receive(followed(None))
        self.assertEqual(self.listener.heard, [None])

    def test_other_epoch(self) -> None:
        """No position mixes the versions of two epochs."""
        self.connect()
        self.copied(session(5), 3)
        self.table.open(QueueMirror, PLAYER).listeners.add(QueueRecorder())
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=queue(2).state))
        self.table.disconnected("The core is away.")
        self.connect("two")
        self.assertIsNone(self.table.epoch)
        self.table.receive(followed(session(1), 1))
        self.assertIsNone(self.table.epoch)
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=QueueState(PLAYER)))
        self.assertEqual(self.table.epoch, "two")
        self.assertEqual(self.listener.versions, [1])
        self.assertEqual([one.state.version for one in self.materials.heard], [1])

    def test_other_epoch_without_an_interruption(self) -> None:
        """The core's Redis lost something: everything is asked for again."""
        self.connect()
        self.copied(session(5), 3)
        self.table.receive(EpochChanged("two"))
        self.assertEqual((self.table.take_requests(), self.table.epoch), ([FOLLOW], None))
        self.table.receive(RelayedSession(SESSION, session(2)))
        self.table.receive(followed(session(3), 3))
        self.assertEqual((self.listener.versions, self.table.epoch), ([3], "two"))

    def test_queue_of_another_epoch(self) -> None:
        self.connect()
        mirror, listener = self.table.open(QueueMirror, PLAYER), QueueRecorder()
        mirror.listeners.add(listener)
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=queue(3).state))
        mirror.listeners.begin(listener)
        self.table.receive(EpochChanged("two"))
        same = QueueState(PLAYER, 1, queue(3).state.entries)
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=same))
        self.assertEqual((listener.heard, listener.resets), ([], [same]))

    def test_lost_and_restored(self) -> None:
        """Watchers wait for a session that a core in memory lost, and receive it when it is back."""
        self.connect()
        self.copied(session(5), 3)
        for _ in range(2):
            self.table.disconnected("The core is away.")
            self.connect("two")
            self.table.receive(followed(None))
        self.assertEqual((self.listener.heard, self.materials.heard, self.table.epoch), ([], [], None))
        self.clock.advance(29.0)
        self.table.turn()
        self.table.receive(RelayedSession(SESSION, session(1)))
        self.table.receive(RelayedMaterials(change(1)))
        self.assertEqual((self.listener.heard, self.table.take_requests()), ([], [FOLLOW]))
        self.table.receive(followed(session(1), 1))
        self.assertEqual((self.listener.versions, self.table.epoch), ([1], "two"))
        self.assertEqual([one.state.version for one in self.materials.heard], [1])

    def test_lost_for_ever(self) -> None:
        self.connect()
        self.copied(session(5), 3)
        self.table.disconnected("The core is away.")
        self.connect("two")
        self.table.receive(followed(None))
        self.clock.advance(30.0)
        self.table.turn()
        self.assertEqual((self.listener.heard, self.table.epoch), ([None], "two"))
        self.table.turn()
        self.assertEqual(self.listener.heard, [None])

    def test_without_listeners(self) -> None:
        """What has no listeners is not asked for again."""
        self.connect()
        self.table.open(SessionMirror, SESSION)
        self.table.receive(followed(session(1)))
        self.table.disconnected("The core is away.")
        self.assertEqual(self.connect("two"), [])
        self.assertEqual(self.table.epoch, "two")

    def test_problem_of_a_material(self) -> None:
        """A shortage that was reported during an interruption is reported after it."""
        self.connect()
        self.copied(session(1), 1)
        self.table.disconnected("The core is away.")
        self.connect()
        short = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        (iron,) = change(1).state.materials
        materials = MaterialsState(SESSION, 2, (type(iron)(IRON, iron.quantity, iron.quality, short),))
        self.table.receive(Followed(Subject.SESSION, SESSION, session=session(1), materials=materials))
        self.assertEqual([one.notifications for one in self.materials.heard], [(short,)])
        self.assertIs(session(1).progress.status, Status.ACTIVE)
