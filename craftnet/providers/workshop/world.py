"""What all parts of the simulation share: the time, the randomness, the settings and the list of events."""

from __future__ import annotations

from random import Random
from uuid import UUID

from craftnet.events import Event, EventData
from craftnet.providers.workshop.schedule import Schedule
from craftnet.providers.workshop.settings import Settings
from craftnet.shards.placement import Shards


class World:
    """Created once for each simulation.

    Arguments:
        dice: the source of all randomness, ids included.
        now: the start, Unix seconds.
        shards: the share of the players; None: all.

    Attributes:
        accepted: when the events produced from now on reach the service, Unix seconds.
        events: what has happened and was not collected yet, in order.
    """

    def __init__(self, settings: Settings, dice: Random, now: float, shards: Shards | None = None) -> None:
        self._shards = shards
        self.settings = settings
        self.dice = dice
        self.schedule = Schedule(now)
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

    def tell(self, data: EventData, session_id: UUID, at: float | None = None) -> None:
        """Adds an event that became true `at` that time, Unix seconds, or now."""
        when = self.now if at is None else at
        self.events.append(Event(self.new_id(), when, self.accepted, data, session_id))
