"""Runs the simulation on the reactor's clock and passes its events to the sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from uuid import UUID

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.contract.events import EventOutcome, EventVerdict
from craftnet.contract.http_bodies import DescribedCraft
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation

EVENTS_A_TURN = 100
"""Events that are passed on before the reactor gets its turn."""

PAUSE = 0.01
"""Minimum seconds between turns, unless there is a backlog: many small turns cost more than a few larger ones."""


class Driver(Service):
    """Connects the simulation to the clock. It begins when the service starts for the first time.

    Arguments:
        shards: as for `Simulation`.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, sources: Sources, settings: WorkshopSettings, shards: Shards | None = None
    ) -> None:
        self._shards = shards
        self._clock = clock
        self._sources = sources
        self._settings = settings
        self._simulation: Simulation | None = None
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Starts the simulation, or catches up with the time since the service stopped."""
        super().startService()
        if self._simulation is None:
            seed = self._settings.seed
            dice = Random(seed if self._shards is None else f"{seed}/{self._shards.number}")
            self._simulation = Simulation(self._settings, dice, self._clock.seconds(), self._shards)
        self._turn(self._simulation)

    def stopService(self) -> None:
        """Stops the simulation."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        super().stopService()

    def featured(self) -> UUID | None:
        """The best running session to watch now, if any."""
        return None if self._simulation is None else self._simulation.featured(self._clock.seconds())

    def under_way(self, player_id: UUID) -> Sequence[UUID]:
        """The running sessions of a player, oldest first."""
        return () if self._simulation is None else self._simulation.under_way(player_id)

    def describe(self, player_id: UUID) -> Sequence[DescribedCraft]:
        """What a player crafts or waits for."""
        return () if self._simulation is None else self._simulation.describe(player_id)

    def jump_queue(self, player_id: UUID) -> bool:
        """Moves a waiting player to the front; returns whether the player passes another one."""
        simulation = self._simulation
        if simulation is None or not simulation.jump_queue(player_id, self._clock.seconds()):
            return False
        if self._call is not None:
            self._call.reset(0)
        return True

    def _turn(self, simulation: Simulation) -> None:
        self._call = None
        applied = self._sources.apply(simulation.run_until(self._clock.seconds(), EVENTS_A_TURN))
        kept = Deferred.fromCoroutine(applied).addCallbacks(self._check, self._lost)
        kept.addCallback(lambda _: self._rest(simulation))

    def _check(self, outcomes: Sequence[EventOutcome]) -> None:
        """The memory back end rejects no event; if it does, logs one line a turn."""
        reasons = [outcome.reason for outcome in outcomes if outcome.verdict is EventVerdict.REJECTED]
        if reasons:
            self._log.error(
                "{count} of the workshop's events were rejected: {reason}", count=len(reasons), reason=reasons[0]
            )

    def _lost(self, failure: Failure) -> None:
        self._log.failure("the workshop's events were lost", failure)

    def _rest(self, simulation: Simulation) -> None:
        due = simulation.next_due()
        if self.running and due < math.inf:
            wait = due - self._clock.seconds()
            self._call = self._clock.callLater(max(PAUSE, wait) if wait > 0 else 0, self._turn, simulation)
