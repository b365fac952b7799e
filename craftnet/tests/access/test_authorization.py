"""Whether requests may proceed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.access.authorization import Authorization, RequestOrigin, check_may_administer, check_may_publish
from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.messages import QueueStatusData
from craftnet.contract.traces import TraceParent
from craftnet.crafting.state import QueueEntry, QueueState, SessionState
from craftnet.errors import BadRequest, Forbidden, NotFound, Refusal, TooManyRequests, Unauthorized, Unavailable
from craftnet.interfaces import IQueueListener, IQueueSource, ISessionListener, ISessionSource
from craftnet.observe.audit.recorder import SecurityEvents
from craftnet.tests.support.fakes import SteppedClock, TableAuthority
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, running

OWNER = Principal(PLAYER, frozenset(), NOW + 60)
STRANGER = Principal(OTHER_PLAYER, frozenset(), NOW + 60)
PUBLISHER = Principal(None, frozenset({PUBLISH}), NOW + 60)
ADMINISTRATOR = Principal(None, frozenset({ADMIN}), NOW + 60)

PRINCIPALS = {"owner": OWNER, "stranger": STRANGER, "publisher": PUBLISHER, "admin": ADMINISTRATOR}

NOWHERE = UUID("99999999-9999-4999-8999-999999999999")


@implementer(ISessionSource)
class TableSessions:
    """Knows the sessions in a table."""

    def __init__(self) -> None:
        self.states: dict[UUID, SessionState] = {}
        self.broken = False

    def get(self, session_id: UUID) -> Deferred[SessionState | None]:
        """Look it up."""
        return (
            fail(Unavailable("The sessions are out of reach.")) if self.broken else succeed(self.states.get(session_id))
        )

    def watch(self, session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """Nothing changes."""
        return self.get(session_id)

    def unwatch(self, session_id: UUID, listener: ISessionListener) -> None:
        """Nothing was watched."""

    def count(self) -> Deferred[int]:
        """How many there are."""
        return succeed(len(self.states))

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """Nothing changes."""
        return succeed([])


@implementer(IQueueSource)
class TableQueues:
    """Knows the entries in a table."""

    def __init__(self) -> None:
        self.entries: dict[UUID, QueueEntry] = {}

    def get(self, player_id: UUID) -> Deferred[QueueState]:
        """Those of a player."""
        entries = tuple(entry for entry in self.entries.values() if entry.player_id == player_id)
        return succeed(QueueState(player_id, len(entries), entries))

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """Look it up."""
        return succeed(self.entries.get(session_id))

    def watch(self, player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """Nothing changes."""
        return self.get(player_id)

    def unwatch(self, player_id: UUID, listener: IQueueListener) -> None:
        """Nothing was watched."""

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """Nothing changes."""
        return succeed([])


class AdmissionTests(SynchronousTestCase):
    """`SESSION` runs, `OTHER_SESSION` waits for a station; both are `PLAYER`'s."""

    def setUp(self) -> None:
        self.sessions, self.queues = TableSessions(), TableQueues()
        self.sessions.states[SESSION] = running()
        status = QueueStatusData(player_id=PLAYER, queue_position=1)
        self.queues.entries[OTHER_SESSION] = QueueEntry(status, 1, NOW, OTHER_SESSION)
        self.admission = Authorization(TableAuthority(PRINCIPALS), self.sessions, self.queues)

    def passing(self, decide: Callable[[Principal], Coroutine[Any, Any, Any] | None]) -> set[str]:
        """Who passes; the others must be forbidden to."""
        passed = set()
        for name, principal in PRINCIPALS.items():
            outcome: list[Any] = []
            maybeDeferred(decide, principal).addCallbacks(
                outcome.append, lambda failure: failure.trap(Forbidden) and None
            )
            if outcome:
                passed.add(name)
        return passed

    def test_no_token(self) -> None:
        """The answer has no error code, since there was no token."""
        error = self.failureResultOf(self.admission.authenticate(None), Unauthorized).value
        self.assertEqual(error.headers["WWW-Authenticate"], 'Bearer realm="craftnet"')

    def test_authenticate(self) -> None:
        self.assertEqual(self.successResultOf(self.admission.authenticate("owner")), OWNER)

    def test_crafting(self) -> None:
        for session_id in (SESSION, OTHER_SESSION):
            for player_id in (None, PLAYER):
                self.assertEqual(
                    self.passing(lambda principal: self.admission.crafting(principal, session_id, player_id)),  # noqa: B023 - called at once.
                    {"owner", "admin"},
                )

    def test_crafting_names_another_player(self) -> None:
        """Not even an administrator's request may be wrong about whose session it is."""
        self.assertEqual(
            self.passing(lambda principal: self.admission.crafting(principal, SESSION, OTHER_PLAYER)), set()
        )
        self.assertEqual(self.passing(lambda principal: self.admission.player(principal, SESSION, OTHER_PLAYER)), set())

    def test_owner(self) -> None:
        self.assertEqual(self.successResultOf(self.admission.crafting(ADMINISTRATOR, SESSION)), PLAYER)
        self.assertEqual(self.successResultOf(self.admission.player(PUBLISHER, OTHER_SESSION)).player_id, PLAYER)

    def test_player(self) -> None:
        for session_id in (SESSION, OTHER_SESSION):
            self.assertEqual(
                self.passing(lambda principal: self.admission.player(principal, session_id)),  # noqa: B023 - called at once.
                {"owner", "admin", "publisher"},
            )

    def test_no_session(self) -> None:
        """… comes before the check of the owner."""
        for principal in (OWNER, STRANGER, ADMINISTRATOR):
            self.failureResultOf(self.admission.crafting(principal, NOWHERE, OTHER_PLAYER), NotFound)
            self.failureResultOf(self.admission.player(principal, NOWHERE), NotFound)

    def test_sessions_out_of_reach(self) -> None:
        """… is not the same as no session."""
        self.sessions.broken = True
        self.failureResultOf(self.admission.crafting(OWNER, SESSION), Unavailable)

    def test_queue(self) -> None:
        self.assertEqual(self.passing(lambda principal: self.admission.queue(principal, PLAYER)), {"owner", "admin"})
        self.assertEqual(
            self.passing(lambda principal: self.admission.queue(principal, OTHER_PLAYER)), {"stranger", "admin"}
        )

    def test_scopes(self) -> None:
        for decide, name, refused, scope in (
            (check_may_administer, "admin", OWNER, ADMIN),
            (check_may_publish, "publisher", ADMINISTRATOR, PUBLISH),
        ):
            self.assertEqual(self.passing(decide), {name})
            error = self.assertRaises(Forbidden, decide, refused)
            self.assertEqual(error.details, {"scope": scope})


class ScriptedRequest:
    """A request that is refused for everything that the test says, and remembers how far it came."""

    def __init__(self, *wrong: str, token: str = "owner") -> None:
        self.wrong = wrong
        self.named = token
        self.steps: list[str] = []
        self.refusal: Refusal = NotFound("No session.")

    def _step(self, name: str, error: Exception) -> None:
        self.steps.append(name)
        if name in self.wrong:
            raise error

    def limit(self) -> None:
        """As it says."""
        self._step("limit", TooManyRequests("Too many.", retry_after=1, limit=1))

    def token(self) -> str:
        """As it says."""
        self._step("token", Unauthorized("Two tokens."))
        return self.named

    def origin(self) -> RequestOrigin:
        """Somewhere."""
        return RequestOrigin("192.0.2.1", "http", "/events", TraceParent("a" * 32, "b" * 16, sampled=True))

    def read(self) -> str:
        """As it says."""
        self._step("read", BadRequest("No id."))
        return "asked"

    async def decide(self, principal: Principal, asked: str) -> tuple[Principal, str]:
        """As it says."""
        self._step("decide", self.refusal)
        return principal, asked


class AuditTests(SynchronousTestCase):
    """Refusals for reasons of security are recorded, with what is known of the request and of its bearer."""

    def setUp(self) -> None:
        self.events = SecurityEvents(SteppedClock(NOW))
        self.admission = Authorization(TableAuthority(PRINCIPALS), TableSessions(), TableQueues(), audit=self.events)

    def recorded(self, request: ScriptedRequest) -> list[tuple[str, UUID | None, int | None]]:
        asked: Deferred[tuple[Principal, str]] = Deferred.fromCoroutine(self.admission.authorize(request))
        asked.addErrback(lambda failure: failure.trap(Refusal))
        self.successResultOf(asked)
        for event in self.events.recent():
            self.assertEqual((event.address, event.transport, event.route), ("192.0.2.1", "http", "/events"))
            self.assertEqual(event.trace_id, "a" * 32)
        return [(event.type, event.player_id, event.status) for event in self.events.recent()]

    def test_limit(self) -> None:
        self.assertEqual(self.recorded(ScriptedRequest("limit")), [("limit.exceeded", None, 429)])

    def test_token(self) -> None:
        self.assertEqual(self.recorded(ScriptedRequest(token="unknown")), [("access.unauthenticated", None, 401)])

    def test_forbidden(self) -> None:
        """The bearer is known."""
        request = ScriptedRequest("decide", token="stranger")
        request.refusal = Forbidden("The session is another player's.")
        self.assertEqual(self.recorded(request), [("access.denied", OTHER_PLAYER, 403)])
        self.assertEqual(self.events.recent()[0].reason, "The session is another player's.")

    def test_mistakes_are_no_security_events(self) -> None:
        self.assertEqual(self.recorded(ScriptedRequest("read")), [])
        self.assertEqual(self.recorded(ScriptedRequest("decide")), [])
        self.assertEqual(self.recorded(ScriptedRequest()), [])

    def test_renewal(self) -> None:
        self.failureResultOf(Deferred.fromCoroutine(self.admission.renew("stranger", OWNER)), Forbidden)
        self.failureResultOf(Deferred.fromCoroutine(self.admission.renew("unknown", OWNER)), Unauthorized)
        self.assertEqual(
            [(event.type, event.player_id) for event in self.events.recent()],
            [("access.denied", PLAYER), ("access.unauthenticated", PLAYER)],
        )


class OrderTests(SynchronousTestCase):
    """The one order in which requests are refused."""

    STEPS = ("limit", "token", "read", "decide")

    def judge(self, request: ScriptedRequest) -> Deferred[tuple[Principal, str]]:
        admission = Authorization(TableAuthority(PRINCIPALS), TableSessions(), TableQueues())
        return Deferred.fromCoroutine(admission.authorize(request))

    def test_first_reason(self) -> None:
        """Whatever else is wrong, nothing is looked at behind the first reason."""
        errors = (TooManyRequests, Unauthorized, BadRequest, NotFound)
        for number, error in enumerate(errors):
            request = ScriptedRequest(*self.STEPS[number:])
            self.failureResultOf(self.judge(request), error)
            self.assertEqual(request.steps, list(self.STEPS[: number + 1]))

    def test_token_that_does_not_hold(self) -> None:
        request = ScriptedRequest("read", "decide", token="?")
        self.failureResultOf(self.judge(request), Unauthorized)
        self.assertEqual(request.steps, ["limit", "token"])

    def test_answered(self) -> None:
        self.assertEqual(self.successResultOf(self.judge(ScriptedRequest())), (OWNER, "asked"))

    def test_waits_for_its_answers(self) -> None:
        """Keys may take their time."""
        later: Deferred[Principal] = Deferred()

        class Slow(TableAuthority):
            def authenticate(self, token: str) -> Deferred[Principal]:
                return later

        request = ScriptedRequest("read")
        judged = Deferred.fromCoroutine(Authorization(Slow({}), TableSessions(), TableQueues()).authorize(request))
        self.assertNoResult(judged)
        self.assertEqual(request.steps, ["limit", "token"])
        later.callback(OWNER)
        self.failureResultOf(judged, BadRequest)
