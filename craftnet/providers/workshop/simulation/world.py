"""What everything in the simulation shares: the schedule, the time, the dice, the settings and the recorded events."""

from __future__ import annotations

import math
from collections.abc import Generator
from heapq import heappop, heappush
from itertools import count
from random import Random
from uuid import UUID

from craftnet.contract.events import Event, EventData
from craftnet.providers.shards import Shards
from craftnet.providers.workshop.simulation.bias import Bias
from craftnet.providers.workshop.simulation.settings import WorkshopSettings

Life = Generator[float, None, None]


class Sleeper:
    """A life to be resumed later. `turn` distinguishes its valid appointment from outdated ones."""

    __slots__ = ("life", "turn")

    def __init__(self, life: Life) -> None:
        self.life = life
        self.turn = 0


class Schedule:
    """All lives, and the simulated time.

    Attributes:
        now: the simulated moment, Unix seconds. Never goes back.
        current: the life that is running at this moment.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self.current: Sleeper
        # Turns increase, so lives that are due at the same time resume in the order in which they fell asleep.
        self._turns = count(1)
        self._heap: list[tuple[float, int, Sleeper]] = []

    def begin(self, life: Life, due: float) -> Sleeper:
        """Starts a life at `due`."""
        sleeper = Sleeper(life)
        self._appoint(sleeper, due)
        return sleeper

    def wake(self, sleeper: Sleeper) -> None:
        """Resumes it now, whatever it is waiting for."""
        self._appoint(sleeper, self.now)

    def next_due(self) -> float:
        """When the next life resumes, Unix seconds; infinity when none does."""
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].turn:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def step(self, until: float) -> bool:
        """Resumes the next life that is due by `until`. False when there is none."""
        due = self.next_due()
        if due > until:
            return False
        _, _, sleeper = heappop(self._heap)
        self.now = max(self.now, due)
        self.current = sleeper
        sleep = next(sleeper.life, None)
        if sleep is not None:
            self._appoint(sleeper, self.now + sleep)
        return True

    def _appoint(self, sleeper: Sleeper, due: float) -> None:
        sleeper.turn = next(self._turns)
        if due < math.inf:
            heappush(self._heap, (due, sleeper.turn, sleeper))


class World:
    """Created once for each simulation.

    Arguments:
        dice: the source of all randomness, ids included.
        now: the start, Unix seconds.
        shards: the share of the players; None: all.

    Attributes:
        load: the share of the players who craft now, 0 to 1.
        accepted: when the events produced from now on reach the service, Unix seconds.
        events: what has happened and was not collected yet, in order.
    """

    def __init__(self, settings: WorkshopSettings, dice: Random, now: float, shards: Shards | None = None) -> None:
        self._shards = shards
        self.settings = settings
        self.bias = Bias(settings.bias, settings.seed)
        self.dice = dice
        self.schedule = Schedule(now)
        self.load = 0.0
        self.accepted = now
        self.events: list[Event] = []

    @property
    def now(self) -> float:
        """The simulated moment, Unix seconds."""
        return self.schedule.now

    def new_id(self) -> UUID:
        """A new unique id."""
        return UUID(int=self.dice.getrandbits(128), version=4)

    def new_player_id(self) -> UUID:
        """A new id of a player that is simulated here."""
        player_id = self.new_id()
        while self._shards is not None and not self._shards.owns(player_id):
            player_id = self.new_id()
        return player_id

    def district_number(self, number: int) -> int:
        """A number that distinguishes this district from all others, including those of other processes."""
        return number if self._shards is None else number * self._shards.count + self._shards.number

    def some(self, least: float, most: float) -> float:
        """A random duration in seconds of real time; the bounds are in simulated seconds."""
        return self.dice.uniform(least, most) / self.settings.speed

    def strikes(self, chance: float) -> bool:
        """Whether a mishap happens whose probability is `chance` at a chaos of 0.5."""
        return self.dice.random() < 2.0 * self.settings.chaos * chance

    def publish(self, data: EventData, session_id: UUID, at: float | None = None) -> None:
        """Adds an event that became true `at` that time, Unix seconds, or now."""
        when = self.now if at is None else at
        self.events.append(Event(self.new_id(), when, self.accepted, data, session_id))
