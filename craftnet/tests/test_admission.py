"""Whether requests may proceed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.access.admission import Admission, Admitted
from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.errors import Forbidden, NotFound, Unauthorized, Unavailable
from craftnet.events import Event, Outcome
from craftnet.interfaces import IQueueListener, IQueueSource, ISessionListener, ISessionSource
from craftnet.messages import QueueStatusData
from craftnet.state import QueueEntry, QueueState, SessionState
from craftnet.tests.fakes import TableAuthority
from craftnet.tests.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, running

OWNER = Principal(PLAYER, frozenset(), NOW + 60)
STRANGER = Principal(OTHER_PLAYER, frozenset(), NOW + 60)
PUBLISHER = Principal(None, frozenset({PUBLISH}), NOW + 60)
ADMINISTRATOR = Principal(None, frozenset({ADMIN}), NOW + 60)

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

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
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

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """Nothing changes."""
        return succeed([])


class AdmissionTests(SynchronousTestCase):
    """`SESSION` runs, `OTHER_SESSION` waits for a station; both are `PLAYER`'s."""

    def setUp(self) -> None:
        self.sessions, self.queues = TableSessions(), TableQueues()
        self.sessions.states[SESSION] = running()
        status = QueueStatusData(player_id=PLAYER, queue_position=1)
        self.queues.entries[OTHER_SESSION] = QueueEntry(status, 1, NOW, OTHER_SESSION)
        principals = {"owner": OWNER, "stranger": STRANGER, "publisher": PUBLISHER, "admin": ADMINISTRATOR}
        self.admission = Admission(TableAuthority(principals), self.sessions, self.queues)

    def passing(self, decide: Callable[[str], Deferred[Any]]) -> set[str]:
        """Who passes; the others must be forbidden to."""
        passed = set()
        for name in ("owner", "stranger", "publisher", "admin"):
            outcome: list[Any] = []
            decide(name).addCallbacks(outcome.append, lambda failure: failure.trap(Forbidden) and None)
            if outcome:
                passed.add(name)
        return passed

    def test_no_token(self) -> None:
        """The answer does not say what was wrong with the token, since there is none."""
        for decided in (
            self.admission.authenticate(None),
            self.admission.crafting(None, NOWHERE),
            self.admission.player(None, NOWHERE),
            self.admission.queue(None, PLAYER),
            self.admission.health(None),
            self.admission.publish(None),
        ):
            error = self.failureResultOf(decided, Unauthorized).value
            self.assertEqual(error.headers["WWW-Authenticate"], 'Bearer realm="craftnet"')

    def test_bad_token_comes_first(self) -> None:
        """Whoever has none does not learn which sessions there are."""
        for decided in (
            self.admission.crafting("?", NOWHERE),
            self.admission.crafting("?", SESSION),
            self.admission.player("?", NOWHERE),
            self.admission.queue("?", PLAYER),
            self.admission.health("?"),
            self.admission.publish("?"),
        ):
            self.failureResultOf(decided, Unauthorized)

    def test_authenticate(self) -> None:
        self.assertEqual(self.successResultOf(self.admission.authenticate("owner")), OWNER)

    def test_crafting(self) -> None:
        for session_id in (SESSION, OTHER_SESSION):
            for player_id in (None, PLAYER):
                self.assertEqual(
                    self.passing(lambda who: self.admission.crafting(who, session_id, player_id)),  # noqa: B023 - called at once.
                    {"owner", "admin"},
                )

    def test_crafting_names_another_player(self) -> None:
        """Not even an administrator's request may be wrong about whose session it is."""
        self.assertEqual(self.passing(lambda who: self.admission.crafting(who, SESSION, OTHER_PLAYER)), set())
        self.assertEqual(self.passing(lambda who: self.admission.player(who, SESSION, OTHER_PLAYER)), set())

    def test_admitted(self) -> None:
        self.assertEqual(
            self.successResultOf(self.admission.crafting("admin", SESSION)), Admitted(ADMINISTRATOR, PLAYER)
        )
        self.assertEqual(
            self.successResultOf(self.admission.player("publisher", OTHER_SESSION)), Admitted(PUBLISHER, PLAYER)
        )

    def test_player(self) -> None:
        for session_id in (SESSION, OTHER_SESSION):
            self.assertEqual(
                self.passing(lambda who: self.admission.player(who, session_id)),  # noqa: B023 - called at once.
                {"owner", "admin", "publisher"},
            )

    def test_no_session(self) -> None:
        """… is told before whose it would be."""
        for who in ("owner", "stranger", "admin"):
            self.failureResultOf(self.admission.crafting(who, NOWHERE, OTHER_PLAYER), NotFound)
            self.failureResultOf(self.admission.player(who, NOWHERE), NotFound)

    def test_sessions_out_of_reach(self) -> None:
        """… is not the same as no session."""
        self.sessions.broken = True
        self.failureResultOf(self.admission.crafting("owner", SESSION), Unavailable)

    def test_queue(self) -> None:
        self.assertEqual(self.passing(lambda who: self.admission.queue(who, PLAYER)), {"owner", "admin"})
        self.assertEqual(self.passing(lambda who: self.admission.queue(who, OTHER_PLAYER)), {"stranger", "admin"})
        self.assertEqual(self.successResultOf(self.admission.queue("owner", PLAYER)), OWNER)

    def test_health(self) -> None:
        self.assertEqual(self.passing(self.admission.health), {"admin"})
        error = self.failureResultOf(self.admission.health("owner"), Forbidden).value
        self.assertEqual(error.details, {"scope": ADMIN})

    def test_publish(self) -> None:
        self.assertEqual(self.passing(self.admission.publish), {"publisher"})
        error = self.failureResultOf(self.admission.publish("admin"), Forbidden).value
        self.assertEqual(error.details, {"scope": PUBLISH})

    def test_waits_for_its_answers(self) -> None:
        """Sources and keys may take their time."""
        later: Deferred[Principal] = Deferred()

        class Slow(TableAuthority):
            def authenticate(self, token: str) -> Deferred[Principal]:
                return later

        admission = Admission(Slow({}), self.sessions, self.queues)
        decided = admission.crafting("owner", SESSION)
        self.assertNoResult(decided)
        later.callback(OWNER)
        self.assertEqual(self.successResultOf(decided), Admitted(OWNER, PLAYER))
