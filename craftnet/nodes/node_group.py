"""Asks every node of a cluster and collects the answers. A single server answers its own questions.

Nodes announce themselves every few seconds, so that a question does not wait for nodes that are gone.

A node that follows an answer repeats its question every few seconds. In between, the other nodes send each answer that
differs from the previous one. Once a node stops asking, the others compute and send nothing for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
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
"""Seconds that other nodes have to answer."""

SIGN_INTERVAL = 2.0
"""Seconds between two announcements."""

NODE_TIMEOUT = 7.0
"""Seconds without an announcement after which a node counts as gone."""

PUBLISH_INTERVAL = 1.0
"""Seconds between checks whether a followed answer has changed."""

FOLLOW_RENEWAL = 4.0
"""Seconds after which a node repeats a question whose answer it follows, in case a message was lost."""

FOLLOW_LEASE = 10.0
"""Seconds for which a node sends changed answers after a question."""

_encoder = msgspec.msgpack.Encoder()
_raw = msgspec.msgpack.Decoder(Raw)


class Question(Generic[Asked, Answered]):
    """A question that nodes ask each other.

    Arguments:
        name: its unique name.
        asked, answered: the types of the argument and of the answer.
    """

    def __init__(self, name: str, asked: Any, answered: Any) -> None:
        self.name = name
        self.asked: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(asked)
        self.answered: msgspec.msgpack.Decoder[Answered] = msgspec.msgpack.Decoder(answered)


class _Sign(Struct, frozen=True, tag="sign", array_like=True):
    """An announcement of a node."""


class _Ask(Struct, frozen=True, tag="ask", array_like=True):
    """A question; number 0 requests no answer."""

    number: int
    question: str
    argument: bytes
    follow: bool = False


class _Answer(Struct, frozen=True, tag="answer", array_like=True):
    """An answer; a status other than 200 is a refusal, whose text is the answer."""

    number: int
    status: int
    answer: bytes


class _News(Struct, frozen=True, tag="news", array_like=True):
    """A changed answer, for a node that follows it."""

    question: str
    argument: bytes
    status: int
    answer: bytes


_Key = tuple[str, bytes]
"""The name of a question, and its encoded argument."""


class _Published(Struct):
    """An answer that other nodes follow.

    Attributes:
        leases: the time until which each node follows it.
        sent: the answer that they have.
        busy: whether a new answer is being computed.
    """

    leases: dict[str, float]
    sent: tuple[int, bytes] | None = None
    busy: bool = False


class _Followed(Struct):
    """The answer of another node that this one follows.

    Attributes:
        asked, received: the times of the last question and of the last answer.
        used: the time of its last use.
    """

    asked: float
    received: float
    used: float
    status: int
    answer: bytes


_decoder = msgspec.msgpack.Decoder(_Sign | _Ask | _Answer | _News)
_text = msgspec.msgpack.Decoder(str)


class NodeGroup(Service):
    """All nodes of a cluster, as one of them sees it.

    Arguments:
        name: the name of this node.
        bus: carries messages between nodes; None for a single server.

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
        self._published: dict[_Key, _Published] = {}
        self._followed: dict[tuple[str, _Key], _Followed] = {}
        self._publishing = LoopingCall(self._publish)
        self._publishing.clock = clock
        self._signs = LoopingCall(self._sign)
        self._signs.clock = clock
        if bus is not None:
            bus.follow(self._heard)

    def startService(self) -> None:
        """Announces this node to the others."""
        super().startService()
        if self._bus is not None:
            self._signs.start(SIGN_INTERVAL)

    def stopService(self) -> None:
        """Stops announcing this node."""
        super().stopService()
        for loop in (self._signs, self._publishing):
            if loop.running:
                loop.stop()

    @property
    def others(self) -> list[str]:
        """The names of the other live nodes."""
        since = self._clock.seconds() - NODE_TIMEOUT
        self._seen = {name: at for name, at in self._seen.items() if at >= since}
        return sorted(self._seen)

    def handle(self, question: Question[Any, Any], handler: Callable[[str, Any], Any]) -> None:
        """Answers a question with `handler`, whose arguments are the asking node's name and the question's argument."""
        self._handlers[question.name] = question, handler

    async def ask_all(self, question: Question[Asked, Answered], argument: Asked) -> dict[str, Answered]:
        """The answers of all nodes that answer in time, by name, including this node's own.

        Raises:
            Refusal: this node refuses.
        """
        return await self._all(question, argument, self._ask)

    async def follow_all(
        self, question: Question[Asked, Answered], argument: Asked, max_age: float = FOLLOW_RENEWAL
    ) -> dict[str, Answered]:
        """Like `ask_all`, for repeated use: the other nodes send their answers when they change.

        Arguments:
            max_age: seconds after which the group repeats the question to a node whose answer has not changed.
        """

        def follow(node: str, question: Question[Asked, Answered], argument: Asked) -> Deferred[Answered]:
            return Deferred.fromCoroutine(self._follow(node, question, argument, max_age))

        return await self._all(question, argument, follow)

    async def _all(
        self,
        question: Question[Asked, Answered],
        argument: Asked,
        ask: Callable[[str, Question[Asked, Answered], Asked], Deferred[Answered]],
    ) -> dict[str, Answered]:
        asked = {name: ask(name, question, argument) for name in self.others}
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
            Unavailable: the node does not answer.
            Refusal: the node refuses.
        """
        if node == self.here:
            return await self._own(question, argument)
        self._check_known(node)
        return await self._ask(node, question, argument)

    async def follow(self, node: str, question: Question[Asked, Answered], argument: Asked) -> Answered:
        """Like `ask`, for repeated use: the node sends its answer when it changes."""
        if node == self.here:
            return await self._own(question, argument)
        self._check_known(node)
        return await self._follow(node, question, argument, FOLLOW_RENEWAL)

    def _check_known(self, node: str) -> None:
        if node not in self.others:
            known = ", ".join([self.here, *self.others])
            raise NotFound(f"There is no node {node!r}; there are: {known}.")

    def push(self, node: str, question: Question[Asked, None], argument: Asked) -> None:
        """Sends a question that needs no answer."""
        if self._bus is not None:
            self._bus.send(node, _encoder.encode(_Ask(0, question.name, _encoder.encode(argument))))

    async def _own(self, question: Question[Asked, Answered], argument: Asked) -> Answered:
        answer: Any = self._handlers[question.name][1](self.here, argument)
        answered: Answered = await answer if isinstance(answer, Awaitable) else answer
        return answered

    def _ask(self, node: str, question: Question[Asked, Answered], argument: Asked) -> Deferred[Answered]:
        return self._request(node, question.name, _encoder.encode(argument)).addCallback(partial(_read, question))

    def _request(self, node: str, question: str, argument: bytes, *, follow: bool = False) -> Deferred[_Answer]:
        assert self._bus is not None
        self._numbers += 1
        number, answered = self._numbers, Deferred[_Answer]()
        self._asked[number] = node, answered
        self._bus.send(node, _encoder.encode(_Ask(number, question, argument, follow)))
        answered.addTimeout(ANSWER_TIMEOUT, self._clock)

        def read(answer: _Answer | Failure) -> _Answer:
            self._asked.pop(number, None)
            if isinstance(answer, Failure):
                raise Unavailable(f"The node {node} does not answer.")
            return answer

        return answered.addBoth(read)

    async def _follow(
        self, node: str, question: Question[Asked, Answered], argument: Asked, max_age: float
    ) -> Answered:
        now = self._clock.seconds()
        key = question.name, _encoder.encode(argument)
        self._followed = {name: each for name, each in self._followed.items() if now - each.used < FOLLOW_LEASE}
        held = self._followed.get((node, key))
        if held is None or now - held.asked >= FOLLOW_RENEWAL or now - held.received > max_age:
            self._followed.pop((node, key), None)
            answer = await self._request(node, *key, follow=True)
            held = _Followed(now, self._clock.seconds(), now, answer.status, answer.answer)
            self._followed[node, key] = held
        held.used = now
        return _read(question, held)

    def _publish(self) -> None:
        """Sends changed answers to the nodes that follow them."""
        now = self._clock.seconds()
        for key, published in list(self._published.items()):
            published.leases = {node: until for node, until in published.leases.items() if until > now}
            if not published.leases:
                del self._published[key]
            elif not published.busy:
                published.busy = True
                publishing = Deferred.fromCoroutine(self._publish_one(key, published))
                publishing.addErrback(lambda failure: self._log.failure("an answer could not be published", failure))
        if not self._published:
            self._publishing.stop()

    async def _publish_one(self, key: _Key, published: _Published) -> None:
        try:
            answer = await self._answer_to(self.here, *key)
        finally:
            published.busy = False
        if answer is None or answer == published.sent or self._bus is None:
            return
        published.sent = answer
        news = _encoder.encode(_News(*key, *answer))
        for node in published.leases:
            self._bus.send(node, news)

    def _sign(self) -> None:
        assert self._bus is not None
        self._bus.broadcast(_encoder.encode(_Sign()))

    def _heard(self, node: str, octets: bytes) -> None:
        """Handles a message of another node."""
        if node == self.here or not self.running:
            return
        new = node not in self._seen
        self._seen[node] = self._clock.seconds()
        try:
            message = _decoder.decode(octets)
        except msgspec.DecodeError:
            return  # from a node of another version.
        match message:
            case _Sign() if new and self._bus is not None:
                self._bus.send(node, octets)  # saves the new node the wait for the next announcement.
            case _Answer(number=number):
                asked, answered = self._asked.get(number, ("", None))
                if answered is not None and asked == node and not answered.called:
                    answered.callback(message)
            case _News(question=question, argument=argument):
                held = self._followed.get((node, (question, argument)))
                if held is not None:
                    held.status, held.answer, held.received = message.status, message.answer, self._clock.seconds()
            case _Ask():
                handling = Deferred.fromCoroutine(self._answer(node, message))
                handling.addErrback(lambda failure: self._log.failure("a question could not be answered", failure))
            case _:
                pass

    async def _answer(self, node: str, message: _Ask) -> None:
        answer = await self._answer_to(node, message.question, message.argument)
        if answer is None or self._bus is None:
            return
        if message.number:
            self._bus.send(node, _encoder.encode(_Answer(message.number, *answer)))
        if message.follow and self.running:
            published = self._published.setdefault((message.question, message.argument), _Published({}))
            published.leases[node] = self._clock.seconds() + FOLLOW_LEASE
            if not self._publishing.running:
                self._publishing.start(PUBLISH_INTERVAL, now=False)

    async def _answer_to(self, node: str, question: str, argument: bytes) -> tuple[int, bytes] | None:
        """The status and the answer; None for a question that this version does not know."""
        asked, handler = self._handlers.get(question, (None, None))
        if asked is None or handler is None:
            return None
        try:
            answer = handler(node, asked.asked.decode(argument))
            return 200, _encoder.encode(await answer if isinstance(answer, Awaitable) else answer)
        except Refusal as refusal:
            return refusal.status, _encoder.encode(refusal.message)


def _read(question: Question[Asked, Answered], answer: _Answer | _Followed) -> Answered:
    """The answer of a node.

    Raises:
        Refusal: the node refused.
    """
    if answer.status != 200:
        raise _refusal(answer.status, _text.decode(answer.answer))
    return question.answered.decode(answer.answer)


def _refusal(status: int, text: str) -> Refusal:
    match status:
        case 400:
            return BadRequest(text)
        case 404:
            return NotFound(text)
        case _:
            return Unavailable(text)
