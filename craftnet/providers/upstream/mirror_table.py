"""All copies of an edge: which ones it requests, and the meaning of each message of the core. Pure.

`take_requests` returns requests to send, `receive` handles messages; `craftnet.providers.upstream.connection` carries
both.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from craftnet.crafting.state import shifted
from craftnet.errors import NotFound, Refusal, Unavailable
from craftnet.providers.clock_offset import ClockOffset
from craftnet.providers.upstream.mirror import Change, Mirror
from craftnet.relay.messages import (
    CatchUp,
    ClockShown,
    EpochChanged,
    Find,
    Follow,
    Followed,
    FollowRefused,
    ReadClock,
    Recall,
    Refused,
    RelayAnswer,
    RelayedMaterials,
    RelayedProgress,
    RelayedQueue,
    RelayedReset,
    RelayedSession,
    RelayMessage,
    Request,
    SessionStarted,
    Subject,
    Unfollow,
)
from craftnet.runtime.deferreds import Waiters

MAX_ASKED = 256
"""Maximum number of unanswered requests to follow, so that the answers fit into the core's queue for an edge."""

CONNECTING = "This server is connecting to its core."
"""Why an edge knows no state yet."""

AnyMirror = TypeVar("AnyMirror", bound=Mirror)
Key = tuple[Subject, UUID]


class MirrorTable:
    """The copies, by subject and key.

    Arguments:
        now: the steady clock, seconds.
        ahead: assumed seconds by which the core's clock is ahead of it, until the core has answered.
        linger: seconds for which a copy is kept up to date after its last listener left.
        lost_after: seconds after which a session ends that the core lost in a restart.
        wake: called when there are requests to send.

    Attributes:
        problem: why the core's state is unknown now, in English; empty while it is known.
        expected: whether sessions are requested together with how long they are expected to take.
    """

    def __init__(
        self, now: Callable[[], float], ahead: float, *, linger: float, lost_after: float, wake: Callable[[], None]
    ) -> None:
        self._now = now
        self._linger = linger
        self._lost_after = lost_after
        self._wake = wake
        self._clock = ClockOffset(ahead)
        self._mirrors: dict[Key, Mirror] = {}
        self._core_epoch: str | None = None
        self._outdated: set[Key] = set()  # copies whose versions belong to an earlier epoch.
        self._to_ask: deque[Key] = deque()
        self._queued: set[Key] = set()  # the same keys.
        self._asked: set[Key] = set()
        self._requests: list[Request] = []
        self._catching_up: dict[Key, Waiters[RelayAnswer]] = {}  # catch-up requests that are not sent yet.
        self._pending: dict[int, Deferred[RelayAnswer]] = {}
        self._next = 0
        self._connected = False
        self.problem = CONNECTING
        self.expected = False

    def __len__(self) -> int:
        return len(self._mirrors)

    @property
    def epoch(self) -> str | None:
        """The epoch of all copies' versions; None while some belong to an earlier one."""
        return None if self._outdated else self._core_epoch

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of copies, by subject."""
        return Counter(subject.value for subject, _ in self._mirrors)

    # What sources need

    def open(self, kind: type[AnyMirror], key: UUID, *, again: bool = False) -> AnyMirror:
        """The copy of a subject; requests it from the core if there is none.

        Arguments:
            again: requests it even if there is one.

        Raises:
            Unavailable: the core is unreachable, or receives no changes itself.
        """
        self.check()
        name = kind.subject, key
        mirror = self._mirrors.get(name)
        if mirror is None:
            mirror = self._mirrors[name] = kind(key, self._now())
            self._ask_for(name)
        elif again and name not in self._asked:
            mirror.current = False
            self._ask_for(name)
        mirror.left = self._now()
        assert isinstance(mirror, kind)
        return mirror

    def find(self, kind: type[AnyMirror], key: UUID) -> AnyMirror | None:
        """The copy of a subject, if there is one."""
        mirror = self._mirrors.get((kind.subject, key))
        if mirror is not None:
            mirror.left = self._now()  # a lookup means that a listener leaves.
        assert mirror is None or isinstance(mirror, kind)
        return mirror

    def check(self) -> None:
        """Raises `Unavailable` while the core's state is unknown."""
        if self.problem:
            raise Unavailable(self.problem)

    def find_entry(self, session_id: UUID) -> Deferred[RelayAnswer]:
        """Requests the queue entry of a session."""
        return self._ask(lambda number: Find(number, session_id))

    def recall(self, subject: Subject, key: UUID, version: int) -> Deferred[RelayAnswer]:
        """Requests the changes after a version."""
        return self._ask(lambda number: Recall(number, subject, key, version)).addCallback(self._on_our_clock)

    def catch_up(self, subject: Subject, key: UUID) -> Deferred[RelayAnswer]:
        """Fires once every change has arrived that the core's own subscribers may have received before this call.

        Calls between two frames share a request.
        """
        waiters = self._catching_up.get((subject, key))
        if waiters is None:
            answer = self._ask(lambda number: CatchUp(number, subject, key))
            waiters = self._catching_up[subject, key] = Waiters()
            answer.addBoth(waiters.release)
        return waiters.wait()

    def _ask(self, request: Callable[[int], Find | CatchUp | Recall]) -> Deferred[RelayAnswer]:
        self.check()
        number, self._next = self._next, self._next + 1

        def cancelled(_: object) -> None:
            self._pending.pop(number, None)

        answer: Deferred[RelayAnswer] = Deferred(cancelled)
        self._pending[number] = answer
        self.request(request(number))
        return answer

    # What the connection needs

    def connected(self, epoch: str) -> None:
        """A connection is open, and the core has named its epoch: requests every copy again."""
        self._connected = True
        self.problem = ""
        self.read_clock()  # first, because it converts the times of the answers that follow.
        self._resynchronise(epoch)

    def disconnected(self, problem: str) -> None:
        """The connection is lost: open requests stay unanswered."""
        self._connected = False
        self.problem = problem
        self._requests.clear()
        self._to_ask.clear()
        self._queued.clear()
        self._asked.clear()
        self._catching_up.clear()
        failed = Failure(Unavailable(problem))
        pending, self._pending = self._pending, {}
        for answer in pending.values():
            answer.errback(failed)
        for mirror in tuple(self._mirrors.values()):
            mirror.current = False
            mirror.answered.release(failed)
        for name, mirror in tuple(self._mirrors.items()):
            if not mirror.listened:
                self._forget(name)

    def request(self, request: Request) -> None:
        """Sends the core a request with the next frame; it is lost when the connection is."""
        self._requests.append(request)
        self._wake()

    def read_clock(self) -> None:
        """Requests the time on the core's clock."""
        self.request(ReadClock(self._now()))

    def take_requests(self) -> list[Request]:
        """Removes and returns the requests to send now."""
        requests, self._requests = self._requests, []
        self._catching_up.clear()
        return requests

    def turn(self) -> None:
        """Drops unused copies, ends sessions that the core did not restore, and repeats refused requests."""
        now = self._now()
        for name, mirror in tuple(self._mirrors.items()):
            # A copy that is not current may be waited for.
            if not mirror.listened and mirror.current and mirror.left + self._linger <= now:
                self._forget(name)
                if self._connected:
                    self.request(Unfollow(*name))
            elif mirror.lost_at is not None and mirror.lost_at + self._lost_after <= now:
                mirror.give_up()
                self._outdated.discard(name)
            elif self._connected and not mirror.current and name not in self._asked:
                self._ask_for(name)

    def receive(self, message: RelayMessage) -> None:
        """Handles a message of the core."""
        match message:
            case RelayedSession(session_id=key) | RelayedProgress(session_id=key):
                self._change(Subject.SESSION, key, message)
            case RelayedMaterials(change=change):
                self._change(Subject.SESSION, change.state.session_id, message)
            case RelayedQueue(change=change):
                self._change(Subject.QUEUE, change.state.player_id, message)
            case RelayedReset(state=state):
                self._change(Subject.QUEUE, state.player_id, message)
            case SessionStarted(player_id=key):
                self._change(Subject.PLAYER, key, message)
            case Followed(subject=subject, key=key):
                self._take((subject, key), message)
            case FollowRefused(subject=subject, key=key):
                self._refused((subject, key), _refusal(message))
            case RelayAnswer(id=number):
                if (answer := self._pending.pop(number, None)) is not None:
                    answer.callback(message)
            case Refused(id=number):
                if (answer := self._pending.pop(number, None)) is not None:
                    answer.errback(Failure(_refusal(message)))
            case ClockShown():
                self._clock.take(message.shown, message.asked, self._now())
                self.problem = message.stalled
            case EpochChanged(epoch=epoch):
                self._resynchronise(epoch)

    def _resynchronise(self, epoch: str) -> None:
        """Requests every copy; those of another epoch are outdated until the core has answered."""
        if epoch != self._core_epoch:
            self._core_epoch = epoch
            self._outdated.update(name for name, mirror in self._mirrors.items() if mirror.epoch is not None)
        self._asked.clear()
        for name, mirror in self._mirrors.items():
            mirror.current = False
            self._ask_for(name)

    def _ask_for(self, name: Key) -> None:
        if name not in self._queued:
            self._queued.add(name)
            self._to_ask.append(name)
        self._pump()

    def _pump(self) -> None:
        while self._to_ask and len(self._asked) < MAX_ASKED:
            name = self._to_ask.popleft()
            self._queued.discard(name)
            if name in self._mirrors and name not in self._asked:
                self._asked.add(name)
                self.request(Follow(*name, self.expected))

    def _take(self, name: Key, answer: Followed) -> None:
        self._asked.discard(name)
        mirror = self._mirrors.get(name)
        if mirror is not None:
            session = None if answer.session is None else shifted(answer.session, -self._clock.ahead)
            mirror.take(replace(answer, session=session), self._core_epoch, self._now())
            if mirror.lost_at is None:
                self._outdated.discard(name)
            mirror.answered.release(None)
        self._pump()

    def _refused(self, name: Key, refusal: Refusal) -> None:
        self._asked.discard(name)
        mirror = self._mirrors.get(name)
        if mirror is not None:
            mirror.answered.release(Failure(refusal))
            if not mirror.listened:
                self._forget(name)
        self._pump()

    def _change(self, subject: Subject, key: UUID, message: Change) -> None:
        name = subject, key
        mirror = self._mirrors.get(name)
        if mirror is None or not mirror.current:
            return  # the pending answer contains this change.
        if not mirror.change(message, self._clock.ahead):
            mirror.current = False
            self._ask_for(name)

    def _forget(self, name: Key) -> None:
        del self._mirrors[name]
        self._outdated.discard(name)

    def _on_our_clock(self, answer: RelayAnswer) -> RelayAnswer:
        ahead = self._clock.ahead
        return replace(
            answer,
            materials=tuple(shifted(change, -ahead) for change in answer.materials),
            queue=tuple(shifted(change, -ahead) for change in answer.queue),
        )


def _refusal(message: Refused | FollowRefused) -> Refusal:
    """The core's refusal as a refusal of this server."""
    return NotFound(message.message) if message.status == NotFound.status else Unavailable(message.message)
