"""The messages that a node has received and not finished: their order of application, and those that wait. Pure.

The start of a session and its progress arrive on different topics, in no guaranteed order. An event of an unknown
session waits for the session's start and is applied right after it. If another node that shares the state applies the
start, this node notices when it retries.
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

SESSION_START_TIMEOUT = 10.0
"""Seconds that an event waits for the start of its session."""

FIRST_RETRY = 0.25
"""Seconds until a waiting event is first retried; later intervals are a quarter of its age."""

MAX_WAITING = 20_000
"""Maximum number of events that wait for a start; beyond it, the oldest are given up."""

APPLY_BATCH = 200
"""Maximum number of messages applied together: a few milliseconds of work."""

MAX_QUEUED = 5_000
"""Maximum number of received messages that are not applied yet; beyond it, reading pauses."""

MAX_QUEUED_BYTES = 16 * 1_048_576
"""The same limit in bytes."""

_TOO_LARGE = rejected(f"the message is longer than {MAX_MESSAGE} bytes")


class Taken(Struct):
    """A message that is being applied, or waits.

    Attributes:
        event: its event, or the outcome that says why it is not one.
        deadline: when it is given up, on the steady clock; None if its session has not been found missing.
    """

    message: StreamMessage
    event: Event | EventOutcome
    deadline: float | None = None

    @property
    def session(self) -> UUID | None:
        """The session whose start the event needs."""
        event = self.event
        return None if not isinstance(event, Event) or isinstance(event.data, QueueUpdate) else event.session_id


class Settled(Struct, frozen=True):
    """Finished messages.

    Attributes:
        messages: messages that the stream need not deliver again.
        outcomes: the outcomes of their events, in the same order.
        dead_letters: the messages among them that were given up.
    """

    messages: list[StreamMessage]
    outcomes: list[EventOutcome]
    dead_letters: list[DeadLetter]


class _Waiting(Struct):
    """The waiting events of one session, in order.

    Attributes:
        since: when the oldest began to wait, on the steady clock.
        retry_at: when they are applied again.
    """

    taken: list[Taken]
    since: float
    retry_at: float


class Consumption:
    """The messages that a node has received and not finished. `take` and `settle` are called alternately."""

    def __init__(self) -> None:
        self._queue: deque[StreamMessage] = deque()
        self._queued_bytes = 0
        self._waiting: dict[UUID, _Waiting] = {}  # in the order in which they began to wait.
        self._number_waiting = 0
        self._next_look = 0.0
        self._lost: set[str] = set()

    @property
    def queued(self) -> int:
        """The number of received messages that are not applied yet."""
        return len(self._queue)

    @property
    def waiting(self) -> int:
        """The number of events that wait for a session's start."""
        return self._number_waiting

    @property
    def is_full(self) -> bool:
        """Whether reading must pause."""
        return len(self._queue) >= MAX_QUEUED or self._queued_bytes >= MAX_QUEUED_BYTES

    @property
    def has_room(self) -> bool:
        """Whether a paused stream may resume."""
        return len(self._queue) <= MAX_QUEUED // 4 and self._queued_bytes <= MAX_QUEUED_BYTES // 4

    def receive(self, messages: Sequence[StreamMessage]) -> None:
        """Adds messages, in the order of their partitions."""
        self._queue.extend(messages)
        self._queued_bytes += sum(len(message.value) for message in messages)

    def forget(self, partitions: Collection[str]) -> None:
        """Drops messages from partitions that another node now reads; that node receives them."""
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
        """Drops all messages; the stream delivers them again."""
        self._queue.clear()
        self._waiting.clear()
        self._queued_bytes = self._number_waiting = 0

    def take(self, now: Moment) -> list[Taken]:
        """The next messages to apply, in order; empty if there are none now."""
        self._lost.clear()
        due = self._due(now.steady)
        messages = [self._queue.popleft() for _ in range(min(APPLY_BATCH - len(due), len(self._queue)))]
        self._queued_bytes -= sum(len(message.value) for message in messages)
        return self._in_order(due + _decoded(messages, now), now.steady)

    def kept(self, taken: Sequence[Taken]) -> list[Taken]:
        """Those of `taken` whose partitions this node still reads; they are applied again after a failure."""
        return [each for each in taken if each.message.partition not in self._lost]

    def settle(self, taken: Sequence[Taken], outcomes: Sequence[EventOutcome], now: float) -> Settled:
        """Records the outcomes of messages that were taken.

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
        """Waiting messages that are due for a retry, at most one batch."""
        due: list[Taken] = []
        if not self._waiting or now < self._next_look:
            return due
        for session, waiting in list(self._waiting.items()):
            if len(due) >= APPLY_BATCH:
                return due
            if waiting.retry_at <= now:
                due += self._released(session)
        self._next_look = now + FIRST_RETRY
        return due

    def _in_order(self, taken: list[Taken], now: float) -> list[Taken]:
        """Messages to apply now. A session's start comes first; its other events keep their order."""
        starts = {each.session for each in taken if _is_start(each)}
        if not starts and not self._waiting:  # the usual case.
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
            taken.deadline = now + SESSION_START_TIMEOUT
        since = taken.deadline - SESSION_START_TIMEOUT
        waiting = self._waiting.get(session)
        if waiting is None:
            pause = max(FIRST_RETRY, (now - since) / 4)
            waiting = self._waiting[session] = _Waiting([], since, min(now + pause, taken.deadline))
        waiting.taken.append(taken)
        self._number_waiting += 1
        if self._number_waiting > MAX_WAITING and self._next_look > -inf:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        """Makes the oldest tenth of the waiting events due for the last time."""
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
    """Why a message can never be applied; None if it was applied, or if its event contradicts the state."""
    if taken.event is _TOO_LARGE:
        return DeadLetterReason.TOO_LARGE
    if isinstance(taken.event, EventOutcome):
        return DeadLetterReason.UNKNOWN_TYPE if is_of_unknown_type(outcome) else DeadLetterReason.UNDECODABLE
    if outcome == FAILED:
        return DeadLetterReason.FAILED
    return DeadLetterReason.NOT_STARTED if outcome == NOT_STARTED else None


FAILED = rejected("applying the event failed; the log has the error")
"""The outcome of an event whose application raised an unexpected error."""
