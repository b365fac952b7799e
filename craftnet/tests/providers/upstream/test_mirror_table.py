"""The copies of an edge: what it asks its core for, and what each message of the core means."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred

from craftnet.contract.messages import QueueMessageType
from craftnet.crafting.state import QueueState
from craftnet.errors import NotFound, Unavailable
from craftnet.providers.upstream.mirror import PlayerMirror, QueueMirror, SessionMirror
from craftnet.providers.upstream.mirror_table import MAX_ASKED
from craftnet.relay.messages import (
    CatchUp,
    ClockShown,
    Follow,
    Followed,
    FollowRefused,
    Refused,
    RelayAnswer,
    RelayedMaterials,
    RelayedQueue,
    RelayedReset,
    RelayedSession,
    SessionStarted,
    Subject,
    Unfollow,
)
from craftnet.tests.contracts.source import (
    QueueRecorder,
)
from craftnet.tests.support.mirrors import FOLLOW, TableTestCase, change, followed, queue, session
from craftnet.tests.support.samples import IRON, NOW, OTHER_SESSION, PLAYER, SESSION


class AskingTests(TableTestCase):
    def test_unknown_before_the_core_is_there(self) -> None:
        error = self.assertRaises(Unavailable, self.table.open, SessionMirror, SESSION)
        self.assertIn("connecting", error.message)
        self.assertIsNone(self.table.epoch)

    def test_one_request_for_all(self) -> None:
        self.connect()
        mirrors = [self.table.open(SessionMirror, SESSION) for _ in range(10)]
        self.assertEqual(self.table.take_requests(), [FOLLOW])
        waiting = mirrors[0].answered.wait()
        self.table.receive(followed(session(2)))
        self.successResultOf(waiting)
        self.assertEqual({id(mirror) for mirror in mirrors}, {id(mirrors[0])})
        self.assertEqual(mirrors[0].state, session(2))
        self.assertEqual(self.table.counts, {"session": 1})

    def test_left_after_a_while(self) -> None:
        self.connect()
        mirror = self.copied(session(1))
        mirror.material_listeners.remove(self.materials)
        self.clock.advance(100.0)
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [])
        found = self.table.find(SessionMirror, SESSION)
        assert found is not None
        found.session_listeners.remove(self.listener)
        self.clock.advance(9.9)
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [])
        self.clock.advance(0.1)
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [Unfollow(Subject.SESSION, SESSION)])
        self.assertEqual(len(self.table), 0)
        self.table.receive(RelayedSession(SESSION, session(2)))  # it was on its way.

    def test_not_left_before_the_answer(self) -> None:
        """A slow answer releases who waits for it, however soon copies are dropped."""
        self.connect()
        waiting = self.table.open(SessionMirror, SESSION).answered.wait()
        self.clock.advance(100.0)
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [FOLLOW])
        self.table.receive(followed(session(1)))
        self.successResultOf(waiting)
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [Unfollow(Subject.SESSION, SESSION)])

    def test_bounded_requests(self) -> None:
        """What may wait in the core for an edge is bounded, so the edge asks for a part at a time."""
        self.connect()
        for number in range(MAX_ASKED + 3):
            self.table.open(QueueMirror, UUID(int=number + 1))
        self.assertEqual(len(self.table.take_requests()), MAX_ASKED)
        self.table.receive(Followed(Subject.QUEUE, UUID(int=1), queue=QueueState(UUID(int=1))))
        self.table.receive(FollowRefused(Subject.QUEUE, UUID(int=2), 503, "Later."))
        keys = [request.key.int for request in self.table.take_requests() if isinstance(request, Follow)]
        self.assertEqual(keys, [MAX_ASKED + 1, MAX_ASKED + 2])

    def test_refused(self) -> None:
        self.connect()
        for status, kind in ((404, NotFound), (503, Unavailable), (429, Unavailable)):
            mirror = self.table.open(PlayerMirror, PLAYER)
            waiting: Deferred[None] = mirror.answered.wait()
            self.table.receive(FollowRefused(Subject.PLAYER, PLAYER, status, "No."))
            self.assertEqual(self.failureResultOf(waiting, kind).value.message, "No.")
            self.assertEqual(len(self.table), 0)

    def test_refused_while_listened_to(self) -> None:
        """It is asked for again."""
        self.connect()
        mirror = self.copied(session(1))
        self.table.disconnected("Away.")
        self.connect()
        self.table.receive(FollowRefused(Subject.SESSION, SESSION, 503, "Later."))
        self.table.turn()
        self.assertEqual(self.table.take_requests(), [FOLLOW])
        self.assertFalse(mirror.current)

    def test_catching_up(self) -> None:
        """Callers before the same frame share a request."""
        self.connect()
        waiting = [self.table.catch_up(Subject.SESSION, SESSION) for _ in range(2)]
        self.assertEqual(self.table.take_requests(), [CatchUp(0, Subject.SESSION, SESSION)])
        later = self.table.catch_up(Subject.SESSION, SESSION)
        self.assertEqual(self.table.take_requests(), [CatchUp(1, Subject.SESSION, SESSION)])
        self.table.receive(RelayAnswer(0))
        for each in waiting:
            self.successResultOf(each)
        self.assertNoResult(later)
        self.table.receive(Refused(1, 503, "The core is behind."))
        self.assertEqual(self.failureResultOf(later, Unavailable).value.message, "The core is behind.")
        self.table.receive(RelayAnswer(1))  # too late.

    def test_lost_questions(self) -> None:
        self.connect()
        waiting: list[Deferred[Any]] = [
            self.table.find_entry(SESSION),
            self.table.recall(Subject.QUEUE, PLAYER, 3),
            self.table.catch_up(Subject.QUEUE, PLAYER),
            self.table.open(QueueMirror, PLAYER).answered.wait(),
        ]
        self.table.disconnected("The core is away.")
        for each in waiting:
            self.assertEqual(self.failureResultOf(each, Unavailable).value.message, "The core is away.")
        self.assertEqual(self.connect(), [])

    def test_stalled_core(self) -> None:
        self.connect()
        self.table.receive(ClockShown(NOW, NOW, "Redis is away."))
        self.assertEqual(self.assertRaises(Unavailable, self.table.check).message, "Redis is away.")
        self.table.receive(ClockShown(NOW, NOW))
        self.table.check()


class ChangeTests(TableTestCase):
    def test_session(self) -> None:
        self.connect()
        self.copied(session(2))
        for version in (1, 2, 3, 3, 5):  # states may be left out, and are never repeated.
            self.table.receive(RelayedSession(SESSION, session(version)))
        self.assertEqual(self.listener.versions, [3, 5])
        self.table.receive(RelayedSession(SESSION, None))
        self.assertIsNone(self.listener.heard[-1])

    def test_materials_without_a_gap(self) -> None:
        self.connect()
        self.copied(session(1), 2)
        for version in (2, 3, 4):
            self.table.receive(RelayedMaterials(change(version)))
        self.assertEqual([one.state.version for one in self.materials.heard], [3, 4])
        self.assertEqual(self.table.take_requests(), [])

    def test_materials_with_a_gap(self) -> None:
        """The state is asked for, and what listeners missed becomes one change."""
        self.connect()
        self.copied(session(1), 2)
        self.table.receive(RelayedMaterials(change(4)))
        self.assertEqual(self.table.take_requests(), [FOLLOW])
        self.table.receive(RelayedMaterials(change(5)))  # the answer will have it.
        self.assertEqual(self.materials.heard, [])
        self.table.receive(followed(session(1), 5))
        (heard,) = self.materials.heard
        self.assertEqual(heard.state, change(5).state)
        self.assertEqual([one.new_quantity for one in heard.changes], [96])

    def test_queue(self) -> None:
        self.connect()
        mirror, listener = self.table.open(QueueMirror, PLAYER), QueueRecorder()
        mirror.listeners.add(listener)
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=queue(1).state))
        self.assertEqual(listener.heard, [])
        mirror.listeners.begin(listener)
        self.table.receive(RelayedQueue(queue(2)))
        self.table.receive(RelayedQueue(queue(2)))
        self.table.receive(RelayedReset(queue(2).state))
        self.table.receive(RelayedQueue(queue(4)))
        self.assertEqual(([one.state.version for one in listener.heard], len(listener.resets)), ([2], 1))
        self.table.receive(Followed(Subject.QUEUE, PLAYER, queue=queue(4).state))
        self.assertEqual(listener.heard[-1].state, queue(4).state)
        self.assertEqual(listener.heard[-1].news, QueueMessageType.QUEUE_POSITION)

    def test_player(self) -> None:
        self.connect()
        heard: list[UUID] = []

        class Player:
            def session_started(self, session_id: UUID) -> None:
                heard.append(session_id)

        mirror, listener = self.table.open(PlayerMirror, PLAYER), Player()
        mirror.listeners.add(listener)  # type: ignore[arg-type]  # it needs no more for this.
        self.table.receive(Followed(Subject.PLAYER, PLAYER, sessions=(SESSION,)))
        mirror.listeners.begin(listener)  # type: ignore[arg-type]  # as above.
        self.table.receive(SessionStarted(PLAYER, OTHER_SESSION))
        self.table.receive(SessionStarted(PLAYER, OTHER_SESSION))
        self.table.take_requests()
        self.table.open(PlayerMirror, PLAYER, again=True)
        self.assertEqual(self.table.take_requests(), [Follow(Subject.PLAYER, PLAYER)])
        self.table.receive(Followed(Subject.PLAYER, PLAYER, sessions=(OTHER_SESSION, IRON)))
        self.assertEqual(heard, [OTHER_SESSION, IRON])

    def test_dates(self) -> None:
        """On the edge's clock, which is 100 s behind."""
        self.connect()
        self.table.receive(ClockShown(NOW, NOW + 100.0))
        mirror = self.copied(session(1))
        assert mirror.state is not None
        self.assertEqual((mirror.state.progress.anchor, mirror.state.accepted), (NOW - 100.0, NOW - 100.0))
        self.table.receive(RelayedSession(SESSION, session(2)))
        self.table.receive(RelayedMaterials(change(1)))
        heard = self.listener.heard[-1]
        assert heard is not None
        self.assertEqual((heard.accepted, self.materials.heard[0].accepted), (NOW - 99.0, NOW - 100.0))
        recalled = self.table.recall(Subject.SESSION, SESSION, 0)
        self.table.receive(RelayAnswer(0, materials=(change(2),)))
        self.assertEqual(self.successResultOf(recalled).materials[0].accepted, NOW - 99.0)
