"""Questions to every node of a cluster, and their answers. A server that is alone answers itself.

Nodes say that they are there every few seconds, so that a question need not wait for those that are gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.clocks import IClock
from craftnet.errors import BadRequest, NotFound, Refusal, Unavailable
from craftnet.providers.inspection import INodeBus

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

ANSWER_TIMEOUT = 1.0
"""Seconds for other nodes to answer."""

SIGN_INTERVAL = 2.0
"""Seconds between two signs of life."""

SILENCE = 7.0
"""Seconds without one after which a node counts as gone."""

_encoder = msgspec.msgpack.Encoder()
_raw = msgspec.msgpack.Decoder(Raw)


class Question(Generic[Asked, Answered]):
    """Something that nodes ask each other.

    Arguments:
        name: its unique name.
        asked, answered: the types of the argument and of the answer.
    """

    def __init__(self, name: str, asked: Any, answered: Any) -> None:
        self.name = name
        self.asked: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(asked)
        self.answered: msgspec.msgpack.Decoder[Answered] = msgspec.msgpack.Decoder(answered)


class _Sign(Struct, frozen=True, tag="sign", array_like=True):
    """A node is there."""


class _Ask(Struct, frozen=True, tag="ask", array_like=True):
    """A question; number 0 wants no answer."""

    number: int
    question: str
    argument: bytes


class _Answer(Struct, frozen=True, tag="answer", array_like=True):
    """An answer; a status other than 200 is a refusal, whose text is the answer."""

    number: int
    status: int
    answer: bytes


_decoder = msgspec.msgpack.Decoder(_Sign | _Ask | _Answer)
_text = msgspec.msgpack.Decoder(str)


class NodeGroup(Service):
    """All nodes, as one of them sees them.

    Arguments:
        name: of this node.
        bus: carries messages between nodes; None: there are no others.

    Attributes:
        here: the name of this node.
    """

    _log = Logger()

    def __init__(self, name: str, bus: INodeBus | None, clock: IClock) -> None:
        self.here = name
        self._bus = bus
        self._clock = clock
        self._handlers: dict[str, tuple[Question[Any, Any], Callable[[str, Any], Any]]] = {}
        self._asked: dict[int, tuple[str, Deferred[_Answer]]] = {}
        self._numbers = 0
        self._seen: dict[str, float] = {}
        self._signs = LoopingCall(self._sign)
        self._signs.clock = clock
        if bus is not None:
            bus.follow(self._heard)

    def startService(self) -> None:
        """Begins to be seen."""
        super().startService()
        if self._bus is not None:
            self._signs.start(SIGN_INTERVAL)

    def stopService(self) -> None:
        """Is not seen any more."""
        super().stopService()
        if self._signs.running:
            self._signs.stop()

    @property
    def others(self) -> list[str]:
        """The other nodes that are there, by name."""
        since = self._clock.seconds() - SILENCE
        self._seen = {name: at for name, at in self._seen.items() if at >= since}
        return sorted(self._seen)

    def handle(self, question: Question[Any, Any], handler: Callable[[str, Any], Any]) -> None:
        """Answers a question with `handler`, at once or later; it is called with the name of the node that asks."""
        self._handlers[question.name] = question, handler

    async def ask_all(self, question: Question[Asked, Answered], argument: Asked) -> dict[str, Answered]:
        """The answers of all nodes that answer in time, by name; this node's own among them.

        Raises:
            Refusal: this node refuses.
        """
        asked = {name: self._ask(name, question, argument) for name in self.others}
        answers = {self.here: await self._own(question, argument)}
        results: list[Any] = await DeferredList(list(asked.values()), consumeErrors=True)
        for name, (succeeded, answer) in zip(asked, results, strict=True):
            if succeeded:
                answers[name] = answer
        return dict(sorted(answers.items()))

    async def ask(self, node: str, question: Question[Asked, Answered], argument: Asked) -> Answered:
        """The answer of one node.

        Raises:
            NotFound: there is no such node.
            Unavailable: it does not answer.
            Refusal: it refuses.
        """
        if node == self.here:
            return await self._own(question, argument)
        if node not in self.others:
            known = ", ".join([self.here, *self.others])
            raise NotFound(f"There is no node {node!r}; there are: {known}.")
        return await self._ask(node, question, argument)

    def push(self, node: str, question: Question[Asked, None], argument: Asked) -> None:
        """Tells a node something, without an answer."""
        if self._bus is not None:
            self._bus.send(node, _encoder.encode(_Ask(0, question.name, _encoder.encode(argument))))

    async def _own(self, question: Question[Asked, Answered], argument: Asked) -> Answered:
        answer: Any = self._handlers[question.name][1](self.here, argument)
        answered: Answered = await answer if isinstance(answer, Awaitable) else answer
        return answered

    def _ask(self, node: str, question: Question[Asked, Answered], argument: Asked) -> Deferred[Answered]:
        assert self._bus is not None
        self._numbers += 1
        number, answered = self._numbers, Deferred[_Answer]()
        self._asked[number] = node, answered
        self._bus.send(node, _encoder.encode(_Ask(number, question.name, _encoder.encode(argument))))
        answered.addTimeout(ANSWER_TIMEOUT, self._clock)

        def read(answer: _Answer | Failure) -> Answered:
            self._asked.pop(number, None)
            if isinstance(answer, Failure):
                raise Unavailable(f"The node {node} does not answer.")
            if answer.status != 200:
                raise _refusal(answer.status, _text.decode(answer.answer))
            return question.answered.decode(answer.answer)

        return answered.addBoth(read)

    def _sign(self) -> None:
        assert self._bus is not None
        self._bus.broadcast(_encoder.encode(_Sign()))

    def _heard(self, node: str, octets: bytes) -> None:
        """A message of another node arrived."""
        if node == self.here or not self.running:
            return
        new = node not in self._seen
        self._seen[node] = self._clock.seconds()
        try:
            message = _decoder.decode(octets)
        except msgspec.DecodeError:
            return  # of a node of another version.
        match message:
            case _Sign() if new and self._bus is not None:
                self._bus.send(node, octets)  # it need not wait for our next one.
            case _Answer(number=number):
                asked, answered = self._asked.get(number, ("", None))
                if answered is not None and asked == node and not answered.called:
                    answered.callback(message)
            case _Ask():
                handling = Deferred.fromCoroutine(self._answer(node, message))
                handling.addErrback(lambda failure: self._log.failure("a question could not be answered", failure))
            case _:
                pass

    async def _answer(self, node: str, message: _Ask) -> None:
        question, handler = self._handlers.get(message.question, (None, None))
        if question is None or handler is None or self._bus is None:
            return  # of a node of another version, which will not wait for long.
        status = 200
        try:
            answer = handler(node, question.asked.decode(message.argument))
            answer = await answer if isinstance(answer, Awaitable) else answer
        except Refusal as refusal:
            status, answer = refusal.status, refusal.message
        if message.number:
            self._bus.send(node, _encoder.encode(_Answer(message.number, status, _encoder.encode(answer))))


def _refusal(status: int, text: str) -> Refusal:
    match status:
        case 400:
            return BadRequest(text)
        case 404:
            return NotFound(text)
        case _:
            return Unavailable(text)
