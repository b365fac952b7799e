"""What a node has read from a stream and not finished: in which order it is applied, and what waits. Pure.

The start of a session and its progress arrive on different topics, in no guaranteed order. An event whose session is
unknown waits for the start and is applied right after it. Another node that shares the state may apply the start; this
node notices when it tries again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from math import inf
from uuid import UUID

from msgspec import Struct

from craftnet.clocks import Moment
from craftnet.contract.envelopes import decode_each, is_of_unknown_type
from craftnet.contract.events import NOT_STARTED, Event, EventOutcome, QueueUpdate, SessionStart, rejected
from craftnet.streams.core.messages import MAX_MESSAGE, DeadLetter, DeadLetterReason, StreamMessage

START_TIMEOUT = 10.0
"""Seconds that an event waits for the start of its session."""

FIRST_RETRY = 0.25
"""Seconds until an event that waits is tried for the first time again; later, after a quarter of its age."""

MAX_WAITING = 20_000
"""Events that wait for a start; beyond that, the oldest are given up."""

BATCH = 200
"""Messages that are applied together: a few milliseconds of work."""

MAX_QUEUED = 5_000
"""Messages that are received and not yet applied, beyond which there is no room for more."""

MAX_QUEUED_BYTES = 16 * 1_048_576
"""The same in bytes."""

_TOO_LARGE = rejected(f"the message is longer than {MAX_MESSAGE} bytes")


class Taken(Struct):
    """A message that is being applied, or waits.

    Attributes:
        event: its event; for one that is none, the outcome that says why.
        deadline: when it is given up, on the steady clock; None while its session was not missed.
    """

    message: StreamMessage
    event: Event | EventOutcome
    deadline: float | None = None

    @property
    def session(self) -> UUID | None:
        """The session without whose start the event is rejected."""
        event = self.event
        return None if not isinstance(event, Event) or isinstance(event.data, QueueUpdate) else event.session_id


class Settled(Struct, frozen=True):
    """What is finished.

    Attributes:
        messages: those that the stream need not deliver again.
        outcomes: the outcomes of their events, in the same order.
        dead_letters: what was given up.
    """

    messages: list[StreamMessage]
    outcomes: list[EventOutcome]
    dead_letters: list[DeadLetter]


class _Waiting(Struct):
    """The events of one session that wait, in order.

    Attributes:
        since: when the oldest began to wait, on the steady clock.
        retry_at: when they are applied again.
    """

    taken: list[Taken]
    since: float
    retry_at: float


class Consumption:
    """The messages that a node has received and not finished. `take` and `settle` are called in turns."""

    def __init__(self) -> None:
        self._queue: deque[StreamMessage] = deque()
        self._queued_bytes = 0
        self._waiting: dict[UUID, _Waiting] = {}  # in the order in which they began to wait.
        self._number_waiting = 0
        self._next_look = 0.0
        self._lost: set[str] = set()

    @property
    def queued(self) -> int:
        """The number of messages that are received and not yet applied."""
        return len(self._queue)

    @property
    def waiting(self) -> int:
        """The number of events that wait for a start."""
        return self._number_waiting

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more messages."""
        return len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES

    @property
    def has_room(self) -> bool:
        """Whether a stream that was paused may go on."""
        return len(self._queue) <= MAX_QUEUED // 4 and self._queued_bytes <= MAX_QUEUED_BYTES // 4

    def receive(self, messages: Sequence[StreamMessage]) -> None:
        """Adds messages, in the order of their partitions."""
        self._queue.extend(messages)
        self._queued_bytes += sum(len(message.value) for message in messages)

    def forget(self, partitions: Collection[str]) -> None:
        """Drops what came from partitions that another node reads now, which will receive it."""
        self._queue = deque(message for message in self._queue if message.partition not in partitions)
        self._queued_bytes = sum(len(message.value) for message in self._queue)
        for session, waiting in list(self._waiting.items()):
            before = len(waiting.taken)
            waiting.taken = [taken for taken in waiting.taken if taken.message.partition not in partitions]
            self._number_waiting -= before - len(waiting.taken)
            if not waiting.taken:
                del self._waiting[session]
        self._lost.update(partitions)

    def clear(self) -> None:
        """Drops everything: the stream will deliver it again."""
        self._queue.clear()
        self._waiting.clear()
        self._queued_bytes = self._number_waiting = 0

    def take(self, now: Moment) -> list[Taken]:
        """The next messages to apply, in order; empty when there are none now."""
        self._lost.clear()
        due = self._due(now.steady)
        messages = [self._queue.popleft() for _ in range(min(BATCH - len(due), len(self._queue)))]
        self._queued_bytes -= sum(len(message.value) for message in messages)
        return self._in_order(due + _decoded(messages, now), now.steady)

    def kept(self, taken: Sequence[Taken]) -> list[Taken]:
        """Those of `taken` whose partitions this node still reads, to be applied again after a failure."""
        return [each for each in taken if each.message.partition not in self._lost]

    def settle(self, taken: Sequence[Taken], outcomes: Sequence[EventOutcome], now: float) -> Settled:
        """The outcomes of what was taken.

        Arguments:
            now: on the steady clock.
        """
        settled = Settled([], [], [])
        for each, outcome in zip(taken, outcomes, strict=True):
            if outcome == NOT_STARTED and each.session is not None:
                if each.message.partition in self._lost:
                    continue
                if each.deadline is None or now < each.deadline:
                    self._wait(each, each.session, now)
                    continue
            settled.messages.append(each.message)
            settled.outcomes.append(outcome)
            if (reason := _given_up(each, outcome)) is not None:
                settled.dead_letters.append(DeadLetter(each.message, reason, outcome.reason))
        return settled

    def _due(self, now: float) -> list[Taken]:
        """What waits and is to be tried again, one batch at most."""
        due: list[Taken] = []
        if not self._waiting or now < self._next_look:
            return due
        for session, waiting in list(self._waiting.items()):
            if len(due) >= BATCH:
                return due
            if waiting.retry_at <= now:
                due += self._released(session)
        self._next_look = now + FIRST_RETRY
        return due

    def _in_order(self, taken: list[Taken], now: float) -> list[Taken]:
        """Those that need not wait; a start comes before the other events of its session, which come as they came."""
        starts = {each.session for each in taken if _is_start(each)}
        if not starts and not self._waiting:  # nearly always.
            return taken
        held: dict[UUID, list[Taken]] = {}
        ordered: list[Taken] = []
        for each in taken:
            session = each.session
            if session is None:
                ordered.append(each)
            elif session in starts and _is_start(each):
                starts.remove(session)
                ordered += [each, *self._released(session), *held.pop(session, ())]
            elif session in starts:
                held.setdefault(session, []).append(each)
            elif session in self._waiting:
                self._wait(each, session, now)
            else:
                ordered.append(each)
        return ordered

    def _released(self, session: UUID) -> list[Taken]:
        waiting = self._waiting.pop(session, None)
        if waiting is None:
            return []
        self._number_waiting -= len(waiting.taken)
        return waiting.taken

    def _wait(self, taken: Taken, session: UUID, now: float) -> None:
        if taken.deadline is None:
            taken.deadline = now + START_TIMEOUT
        since = taken.deadline - START_TIMEOUT
        waiting = self._waiting.get(session)
        if waiting is None:
            pause = max(FIRST_RETRY, (now - since) / 4)
            waiting = self._waiting[session] = _Waiting([], since, min(now + pause, taken.deadline))
        waiting.taken.append(taken)
        self._number_waiting += 1
        if self._number_waiting > MAX_WAITING and self._next_look > -inf:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        """Makes a tenth of the events that wait due for the last time."""
        left = MAX_WAITING // 10
        for waiting in sorted(self._waiting.values(), key=lambda waiting: waiting.since):
            waiting.retry_at = -inf
            for each in waiting.taken:
                each.deadline = -inf
            left -= len(waiting.taken)
            if left <= 0:
                break
        self._next_look = -inf


def _decoded(messages: Sequence[StreamMessage], now: Moment) -> list[Taken]:
    if any(len(message.value) > MAX_MESSAGE for message in messages):  # rare.
        return [
            Taken(message, _TOO_LARGE if len(message.value) > MAX_MESSAGE else decode_each([message.value], now)[0])
            for message in messages
        ]
    events = decode_each([message.value for message in messages], now)
    return list(map(Taken, messages, events))


def _is_start(taken: Taken) -> bool:
    return isinstance(taken.event, Event) and isinstance(taken.event.data, SessionStart)


def _given_up(taken: Taken, outcome: EventOutcome) -> DeadLetterReason | None:
    """Why a message can never be applied; None where it was, or where its event contradicts the state."""
    if taken.event is _TOO_LARGE:
        return DeadLetterReason.TOO_LARGE
    if isinstance(taken.event, EventOutcome):
        return DeadLetterReason.UNKNOWN_TYPE if is_of_unknown_type(outcome) else DeadLetterReason.UNDECODABLE
    if outcome == FAILED:
        return DeadLetterReason.FAILED
    return DeadLetterReason.NOT_STARTED if outcome == NOT_STARTED else None


FAILED = rejected("applying the event failed; the log has the error")
"""The outcome of an event whose application raised an error that is a fault."""
