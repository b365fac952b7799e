"""Tests for `craftnet.admin.node_group`: questions to all nodes, over a bus that may lose messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.admin.node_group import ANSWER_TIMEOUT, SIGN_INTERVAL, SILENCE, NodeGroup, Question
from craftnet.errors import BadRequest, NotFound, Unavailable
from craftnet.providers.inspection import INodeBus
from craftnet.tests.support.fakes import SteppedClock

DOUBLE: Question[int, int] = Question("double", int, int)
REFUSE: Question[None, int] = Question("refuse", None, int)


class Switch:
    """What the buses of all nodes are plugged into."""

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[str, bytes], None]] = {}
        self.down: set[str] = set()

    def carry(self, sender: str, node: str, message: bytes) -> None:
        """Deliver, unless one of them is down."""
        if not self.down & {sender, node} and node in self.listeners:
            self.listeners[node](sender, message)


@implementer(INodeBus)
class SwitchedBus:
    """One node's side."""

    def __init__(self, name: str, switch: Switch) -> None:
        self.name = name
        self._switch = switch

    def follow(self, heard: Callable[[str, bytes], None]) -> None:
        """As in `INodeBus`."""
        self._switch.listeners[self.name] = heard

    def send(self, node: str, message: bytes) -> None:
        """As in `INodeBus`."""
        self._switch.carry(self.name, node, message)

    def broadcast(self, message: bytes) -> None:
        """As in `INodeBus`."""
        for node in tuple(self._switch.listeners):
            self.send(node, message)


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.switch = Switch()
        self.groups = {name: self.group(name) for name in ("a", "b", "c")}

    def group(self, name: str) -> NodeGroup:
        """A node that doubles numbers."""
        group = NodeGroup(name, SwitchedBus(name, self.switch), self.clock)
        group.handle(DOUBLE, lambda _, number: 2 * number)
        group.handle(REFUSE, partial(self.refuse, name))
        group.startService()
        self.addCleanup(group.stopService)
        return group

    def refuse(self, name: str, node: str, _: None) -> int:
        raise BadRequest(f"{name} will not")

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
        for _ in range(int(SILENCE / SIGN_INTERVAL) + 1):
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
