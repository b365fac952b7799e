"""What everything in the simulation shares: the time, the dice, the settings, and the book of what happened."""

from __future__ import annotations

from random import Random
from uuid import UUID

from craftnet.events import Event, EventData
from craftnet.providers.workshop.schedule import Schedule
from craftnet.providers.workshop.settings import Settings
from craftnet.shards.placement import Shards


class World:
    """Made once for each simulation.

    Arguments:
        dice: all chance, ids included.
        now: when it begins, Unix seconds.
        shards: which players there are; None: all.

    Attributes:
        accepted: when the events told from now on reach the service, Unix seconds.
        events: what was told and not collected yet, in order.
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
        """The moment that is being lived, Unix seconds."""
        return self.schedule.now

    def new_id(self) -> UUID:
        """An id that nothing else has."""
        return UUID(int=self.dice.getrandbits(128), version=4)

    def new_player_id(self) -> UUID:
        """The id of one of the players that are simulated here."""
        player_id = self.new_id()
        while self._shards is not None and not self._shards.owns(player_id):
            player_id = self.new_id()
        return player_id

    def district_number(self, number: int) -> int:
        """What tells the district of this number from all others, those that other processes simulate included."""
        return number if self._shards is None else number * self._shards.count + self._shards.number

    def some(self, least: float, most: float) -> float:
        """A while, in seconds of the clock; the bounds are in simulated seconds."""
        return self.dice.uniform(least, most) / self.settings.speed

    def strikes(self, chance: float) -> bool:
        """Whether a mishap happens whose chance is `chance` when chaos is at its usual 0.5."""
        return self.dice.random() < 2.0 * self.settings.chaos * chance

    def tell(self, data: EventData, session_id: UUID, at: float | None = None) -> None:
        """Put an event in the book; it became true `at` that time, Unix seconds, or now."""
        when = self.now if at is None else at
        self.events.append(Event(self.new_id(), when, self.accepted, data, session_id))
