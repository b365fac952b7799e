"""Tests for `craftnet.nodes.node_group`: questions to all nodes, over a bus that may lose messages."""

from __future__ import annotations

from functools import partial

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest, NotFound, Unavailable
from craftnet.nodes.node_group import (
    ANSWER_TIMEOUT,
    FOLLOW_LEASE,
    FOLLOW_RENEWAL,
    NODE_TIMEOUT,
    PUBLISH_INTERVAL,
    SIGN_INTERVAL,
    NodeGroup,
    Question,
)
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.node_switch import Switch, SwitchedBus

DOUBLE: Question[int, int] = Question("double", int, int)
REFUSE: Question[None, int] = Question("refuse", None, int)
STATE: Question[None, int] = Question("state", None, int)


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.switch = Switch()
        self.states = {"a": 1, "b": 2, "c": 3}
        self.groups = {name: self.group(name) for name in ("a", "b", "c")}

    def group(self, name: str) -> NodeGroup:
        """A node that doubles numbers."""
        group = NodeGroup(name, SwitchedBus(name, self.switch), self.clock)
        group.handle(DOUBLE, lambda _, number: 2 * number)
        group.handle(REFUSE, partial(self.refuse, name))
        group.handle(STATE, lambda _, __: self.present(name))
        group.startService()
        self.addCleanup(group.stopService)
        return group

    def refuse(self, name: str, node: str, _: None) -> int:
        raise BadRequest(f"{name} will not")

    def present(self, name: str) -> int:
        """The state of a node; a negative one is refused."""
        if self.states[name] < 0:
            raise BadRequest("it is negative")
        return self.states[name]

    def followed(self) -> dict[str, int]:
        """What node a knows of the states of all, which it follows."""
        following = Deferred.fromCoroutine(self.groups["a"].follow_all(STATE, None))
        self.clock.advance(0)
        return self.successResultOf(following)

    def sent(self, kind: str) -> list[str]:
        """The senders of messages of a kind since the last call."""
        carried, self.switch.carried = self.switch.carried, []
        return [sender for sender, _, message in carried if msgspec.msgpack.decode(message)[0] == kind]

    def asked(self, question: Question[int, int] = DOUBLE, argument: int = 2) -> Deferred[dict[str, int]]:
        return Deferred.fromCoroutine(self.groups["a"].ask_all(question, argument))

    def test_all_answer(self) -> None:
        self.assertEqual(self.successResultOf(self.asked()), {"a": 4, "b": 4, "c": 4})
        self.assertEqual(self.groups["a"].others, ["b", "c"])

    def test_silent_nodes_are_left_out(self) -> None:
        """After a second, once; and are not asked when they were silent for longer."""
        self.switch.down.add("c")
        asked = self.asked()
        self.assertNoResult(asked)
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.successResultOf(asked), {"a": 4, "b": 4})
        for _ in range(int(NODE_TIMEOUT / SIGN_INTERVAL) + 1):
            self.clock.advance(SIGN_INTERVAL)
        self.assertEqual(self.successResultOf(self.asked()), {"a": 4, "b": 4})
        self.switch.down.clear()
        self.clock.advance(SIGN_INTERVAL)
        self.assertEqual(self.successResultOf(self.asked()), {"a": 4, "b": 4, "c": 4})

    def test_one(self) -> None:
        group = self.groups["a"]
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(group.ask("b", DOUBLE, 3))), 6)
        self.failureResultOf(Deferred.fromCoroutine(group.ask("d", DOUBLE, 3)), NotFound)
        refused = self.failureResultOf(Deferred.fromCoroutine(group.ask("b", REFUSE, None)), BadRequest)
        self.assertEqual(refused.getErrorMessage(), "b will not")
        self.switch.down.add("b")
        asked = Deferred.fromCoroutine(group.ask("b", DOUBLE, 3))
        self.clock.advance(ANSWER_TIMEOUT)
        self.failureResultOf(asked, Unavailable)

    def test_garbage(self) -> None:
        """Nothing that a node of another version says is an error."""
        for message in (b"", b"\xc1", b"garbage", b"\x91\xa3ask", b"\x94\xa3ask\x01\xa7nothing\xc4\x00"):
            self.switch.carry("b", "a", message)
        self.assertEqual(self.successResultOf(self.asked()), {"a": 4, "b": 4, "c": 4})

    def test_alone(self) -> None:
        group = NodeGroup("one", None, self.clock)
        group.handle(DOUBLE, lambda _, number: 2 * number)
        group.startService()
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(group.ask_all(DOUBLE, 2))), {"one": 4})

    def test_an_answer_that_is_followed_is_sent_when_it_changes(self) -> None:
        """And is asked for once, not each time."""
        self.assertEqual(self.followed(), {"a": 1, "b": 2, "c": 3})
        self.assertEqual(self.sent("ask"), ["a", "a"])
        self.clock.advance(PUBLISH_INTERVAL)  # the first look.
        self.sent("news")
        self.states.update(a=10, b=20)
        self.clock.advance(PUBLISH_INTERVAL)
        self.assertEqual(self.sent("news"), ["b"])
        self.assertEqual(self.followed(), {"a": 10, "b": 20, "c": 3})
        self.clock.advance(PUBLISH_INTERVAL)
        self.assertEqual(self.switch.carried, [])
        self.states["c"] = -1
        self.clock.advance(PUBLISH_INTERVAL / 2)
        self.clock.advance(PUBLISH_INTERVAL / 2)
        self.assertEqual(self.followed(), {"a": 10, "b": 20})

    def test_a_new_answer_that_is_lost_is_asked_for(self) -> None:
        self.followed()
        self.clock.advance(PUBLISH_INTERVAL)
        self.states["b"] = 20
        self.switch.down.add("b")
        self.clock.advance(PUBLISH_INTERVAL)
        self.switch.down.clear()
        self.assertEqual(self.followed()["b"], 2)
        self.clock.advance(FOLLOW_RENEWAL)
        self.assertEqual(self.followed()["b"], 20)

    def test_nothing_is_sent_once_a_node_has_stopped_asking(self) -> None:
        self.followed()
        for _ in range(round(FOLLOW_LEASE / PUBLISH_INTERVAL) + 1):
            self.clock.advance(PUBLISH_INTERVAL)
        self.sent("news")
        self.states["b"] = 20
        self.clock.advance(PUBLISH_INTERVAL)
        self.assertEqual(self.sent("news"), [])
        self.assertEqual(self.followed()["b"], 20)

    def test_a_node_that_is_followed_and_dies(self) -> None:
        self.followed()
        self.switch.down.add("b")
        self.clock.advance(FOLLOW_RENEWAL)
        following = Deferred.fromCoroutine(self.groups["a"].follow_all(STATE, None))
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.successResultOf(following), {"a": 1, "c": 3})
