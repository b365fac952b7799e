"""One connection between two workers: calls in frames, with answers and file descriptors.

A frame is a length of four bytes and MessagePack: a call is (id, operation, argument), an answer (id, whether it
succeeded, result), and the first frame of a caller is its number.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.runtime.sockets import transmit

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Bytes. The longest calls are batches of events, at most 1 MB before decoding."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_call_decoder = msgspec.msgpack.Decoder(tuple[int, str, Raw])
_answer_decoder = msgspec.msgpack.Decoder(tuple[int, bool, Raw])
_number_decoder = msgspec.msgpack.Decoder(int)
_text_decoder = msgspec.msgpack.Decoder(str)


class Operation(Generic[Asked, Answered]):
    """An operation that workers call on each other.

    Arguments:
        name: its unique name.
        asked, answered: the types of the argument and of the result, which msgspec can decode.
    """

    def __init__(self, name: str, asked: Any, answered: Any) -> None:
        self.name = name
        self.asked: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(asked)
        self.answered: msgspec.msgpack.Decoder[Answered] = msgspec.msgpack.Decoder(answered)


class Caller(Struct, frozen=True):
    """The worker that calls.

    Attributes:
        number: of the worker.
        take: the file descriptor that arrived with the call and has this inode; None when none did. The caller of
            `take` closes it.
    """

    number: int
    take: Callable[[int], int | None]


Handler = Callable[[Caller, Any], Any]
"""Answers a call, at once or with a Deferred or a coroutine."""


@implementer(IFileDescriptorReceiver)
class IncomingCalls(Int32StringReceiver):
    """Another worker's connection: answers its calls."""

    _log = Logger()

    MAX_LENGTH = MAX_FRAME_BYTES
    factory: IncomingCallsFactory

    def __init__(self) -> None:
        self._descriptors: deque[int] = deque()
        self.number: int | None = None

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keeps it until its call is complete. As in `IFileDescriptorReceiver`."""
        self._descriptors.append(descriptor)

    def stringReceived(self, string: bytes) -> None:
        """Handles the caller's number, or a call."""
        if self.number is None:
            self.number = _number_decoder.decode(string)
            return
        identifier, name, argument = _call_decoder.decode(string)
        caller = Caller(self.number, self._take)
        answering = maybeDeferred(self.factory.answer, name, caller, argument)
        answering.addCallbacks(partial(self._send, identifier), partial(self._failed, identifier, name))

    def connectionMade(self) -> None:
        """Another worker connected."""
        self.factory.open.add(self)

    def close(self) -> None:
        """Accepts no further calls."""
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other worker is gone."""
        self.factory.open.discard(self)
        while self._descriptors:
            os.close(self._descriptors.popleft())
        if self.number is not None:
            self.factory.lost(self.number)

    def _take(self, inode: int) -> int | None:
        # One may be missing because this process had no room for it: another must not be used in its place.
        for descriptor in self._descriptors:
            if os.fstat(descriptor).st_ino == inode:
                while (first := self._descriptors.popleft()) != descriptor:
                    os.close(first)  # its call did not take it.
                return descriptor
        return None

    def _send(self, identifier: int, result: object) -> None:
        _send(self.transport, (identifier, True, result))

    def _failed(self, identifier: int, name: str, failure: Failure) -> None:
        if failure.check(Unavailable) is None:
            self._log.failure(
                "the call {operation} of worker {number} failed", failure, operation=name, number=self.number
            )
        _send(self.transport, (identifier, False, failure.getErrorMessage()))


class IncomingCallsFactory(Factory):
    """Builds `IncomingCalls`s.

    Arguments:
        answer: answers a call, named by its operation, at once or later.
        lost: called with the number of each worker that disconnected.
    """

    noisy = False

    def __init__(self, answer: Callable[[str, Caller, Raw], Any], lost: Callable[[int], None]) -> None:
        self.answer = answer
        self.lost = lost
        self.open: set[IncomingCalls] = set()

    def close(self) -> None:
        """Accepts no further calls."""
        for each in tuple(self.open):
            each.close()

    def buildProtocol(self, addr: IAddress | None) -> IncomingCalls:  # type: ignore[override]  # Twisted has no name for it.
        """One for each worker."""
        protocol = IncomingCalls()
        protocol.factory = self
        return protocol


class OutgoingCalls(Int32StringReceiver):
    """The connection to another worker: makes calls.

    Arguments:
        number: this worker's.

    Attributes:
        gone: fires when the connection is lost.
    """

    MAX_LENGTH = MAX_FRAME_BYTES

    def __init__(self, number: int) -> None:
        self._number = number
        self._next = 0
        self.gone: Deferred[None] = Deferred()
        self._waiting: dict[int, Deferred[Raw]] = {}

    def connectionMade(self) -> None:
        """Sends this worker's number."""
        _send(self.transport, self._number)

    def close(self) -> None:
        """Makes no further calls."""
        transport: Any = self.transport
        transport.abortConnection()

    def call(self, name: str, argument: object, descriptor: int | None) -> Deferred[Raw]:
        """Makes a call; fails with `Unavailable`."""
        identifier, self._next = self._next, self._next + 1

        def cancelled(_: object) -> None:
            self._waiting.pop(identifier, None)

        answer: Deferred[Raw] = Deferred(cancelled)
        self._waiting[identifier] = answer
        transport: Any = self.transport
        if descriptor is not None:
            transport.sendFileDescriptor(descriptor)  # sent with the first octets that are written.
            self.sendString(_encode((identifier, name, argument)))
        else:
            _send(transport, (identifier, name, argument))
        return answer

    def stringReceived(self, string: bytes) -> None:
        """Handles an answer, which may come too late."""
        identifier, succeeded, result = _answer_decoder.decode(string)
        waiting = self._waiting.pop(identifier, None)
        if waiting is not None and succeeded:
            waiting.callback(result)
        elif waiting is not None:
            waiting.errback(Unavailable(f"Another worker failed: {_text_decoder.decode(result)}"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other worker is gone."""
        self.gone.callback(None)  # first: waiting callers may call again at once.
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.errback(Unavailable("The worker that keeps this player's state has ended."))


def _send(transport: Any, message: object) -> None:
    frame = _encode(message)
    transmit(transport, len(frame).to_bytes(4, "big") + frame)
