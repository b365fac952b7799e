"""Runs the simulation on the reactor's clock, and hands over to the sources what happens in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from random import Random
from uuid import UUID

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.events import Event, MaterialsUpdate, Outcome, QueueUpdate, SessionStart, Verdict
from craftnet.interfaces import IBackend, IMaterialSource, IQueueSource, ISessionSource
from craftnet.providers.workshop.settings import Settings
from craftnet.providers.workshop.simulation import Simulation

EVENTS_A_TURN = 100
"""How many events are handed over before the reactor gets its turn."""

PAUSE = 0.01
"""Seconds between turns at least, unless there is a backlog: many small turns cost more than a few larger ones."""

_Source = ISessionSource | IMaterialSource | IQueueSource


class Driver(Service):
    """The simulation's place in time. It begins when the service starts for the first time."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, backend: IBackend, settings: Settings) -> None:
        self._clock = clock
        self._backend = backend
        self._settings = settings
        self._simulation: Simulation | None = None
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin, or catch up with what would have happened since the service stopped."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not annotate its services yet.
        if self._simulation is None:
            self._simulation = Simulation(self._settings, Random(self._settings.seed), self._clock.seconds())
        self._turn(self._simulation)

    def stopService(self) -> None:
        """Do nothing more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        super().stopService()  # type: ignore[no-untyped-call]  # as above.

    def featured(self) -> UUID | None:
        """The session that is best watched now, if one is."""
        return None if self._simulation is None else self._simulation.featured(self._clock.seconds())

    def _turn(self, simulation: Simulation) -> None:
        self._call = None
        self._hand_over(simulation.run_until(self._clock.seconds(), EVENTS_A_TURN)).addBoth(self._rest, simulation)

    def _rest(self, result: list[list[Outcome]] | Failure, simulation: Simulation) -> None:
        if isinstance(result, Failure):
            self._log.failure("the workshop's events were lost", result)
        else:
            refused = [outcome for outcomes in result for outcome in outcomes if outcome.verdict is Verdict.REJECTED]
            if refused:
                self._log.error(
                    "{count} of the workshop's events were rejected, one of them: {reason}",
                    count=len(refused),
                    reason=refused[0].reason,
                )
        due = simulation.next_due()
        if self.running and due < math.inf:
            wait = due - self._clock.seconds()
            self._call = self._clock.callLater(max(PAUSE, wait) if wait > 0 else 0, self._turn, simulation)

    def _hand_over(self, events: Sequence[Event]) -> Deferred[list[list[Outcome]]]:
        """Give each event to the sources that are responsible for it, in order, in runs as long as possible."""
        return gatherResults(
            [
                source.apply(run)
                for sources, events_of_run in groupby(events, self._responsible)
                for run in (list(events_of_run),)
                for source in sources
            ],
            consumeErrors=True,
        )

    def _responsible(self, event: Event) -> tuple[_Source, ...]:
        backend = self._backend
        match event.data:
            case QueueUpdate():
                return (backend.queues,)
            case MaterialsUpdate():
                return (backend.materials,)
            case SessionStart():
                return (backend.sessions, backend.materials)
            case _:
                return (backend.sessions,)
