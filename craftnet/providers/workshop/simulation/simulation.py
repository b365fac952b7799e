"""The whole workshop: when players arrive, and what has happened since the last call. Pure.

Nothing here reads a clock or a global: the same settings, randomness and times give the same events, ids included.
"""

from __future__ import annotations

import math
from random import Random
from uuid import UUID

from msgspec.structs import replace

from craftnet.contract.events import Event
from craftnet.contract.http_bodies import DescribedCraft, NamedMaterial
from craftnet.contract.messages import Status
from craftnet.providers.shards import Shards
from craftnet.providers.workshop.simulation.catalogue import Recipe
from craftnet.providers.workshop.simulation.craft import Craft
from craftnet.providers.workshop.simulation.player import Player, Waiting
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.stations import POPULATION, District
from craftnet.providers.workshop.simulation.world import Life, World

PRESENT, PRESENT_AT_MOST = 0.7, 1000
"""The share and the maximum number of players who are busy when the simulation begins."""

ARRIVAL, ARRIVALS_AT_MOST = 30.0, 200.0
"""Seconds of real time in which the others arrive, unless that would exceed this many a second."""

SHOWN_FOR, SHOWN_AT_LEAST = 120.0, 20.0
"""Seconds that a session for visitors should have left, and must have left."""


class Simulation:
    """Everything that happens in the workshop.

    Arguments:
        dice: the source of all randomness, seeded by the caller.
        now: the start, Unix seconds.
        shards: which share of the players in the settings to simulate; None: all.
    """

    def __init__(self, settings: WorkshopSettings, dice: Random, now: float, shards: Shards | None = None) -> None:
        if shards is not None:
            settings = replace(settings, players=shards.share(settings.players))
        self._world = World(settings, dice, now, shards)
        self._running: dict[UUID, Craft] = {}
        self._waiting: dict[UUID, Waiting] = {}
        self._world.schedule.begin(self._arrivals(), now)

    def next_due(self) -> float:
        """When something happens next, Unix seconds."""
        return self._world.schedule.next_due()

    def run_until(self, now: float, limit: float = math.inf) -> list[Event]:
        """The events until `now`, in order; those of one session never go back in time.

        Arguments:
            limit: stop soon after this many events; `next_due` is then in the past, and the next call continues.
        """
        world = self._world
        world.accepted = now
        while len(world.events) < limit and world.schedule.step(now):
            pass
        events, world.events = world.events, []
        return events

    def featured(self, now: float) -> UUID | None:
        """The best running session to watch at `now`: it lasts about two more minutes, and succeeds."""
        best = min(
            (
                craft
                for craft in self._running.values()
                if craft.status is Status.ACTIVE and not craft.doomed and craft.ends - now >= SHOWN_AT_LEAST
            ),
            key=lambda craft: abs(craft.ends - now - SHOWN_FOR),
            default=None,
        )
        return None if best is None else best.session_id

    def under_way(self, player_id: UUID) -> list[UUID]:
        """The running sessions of a player, oldest first."""
        return [session_id for session_id, craft in self._running.items() if craft.player_id == player_id]

    def describe(self, player_id: UUID) -> list[DescribedCraft]:
        """What a player crafts, oldest first, or waits for."""
        found = [
            _described(craft.session_id, craft.recipe)
            for craft in self._running.values()
            if craft.player_id == player_id
        ]
        waiting = self._waiting.get(player_id)
        return found if waiting is None else [*found, _described(waiting.ticket.session_id, waiting.recipe)]

    def jump_queue(self, player_id: UUID, now: float) -> bool:
        """Moves a waiting player to the front, at `now`; returns whether the player passes another one."""
        waiting = self._waiting.get(player_id)
        if waiting is None or waiting.position <= 1:
            return False
        self._world.schedule.begin(waiting.jump(), now)
        return True

    def _arrivals(self) -> Life:
        """Some players are there from the start, the first with something to show; the others arrive one by one."""
        world = self._world
        players, dice = world.settings.players, world.dice
        present = min(math.ceil(PRESENT * players), PRESENT_AT_MOST)
        often = min((players - present) / ARRIVAL, ARRIVALS_AT_MOST)
        for number in range(players):
            if number % POPULATION == 0:
                district = District(world.district_number(number // POPULATION), min(POPULATION, players - number))
            player = Player(world, district, self._running, self._waiting)
            if number < present:
                life = player.live(head_start=dice.uniform(0.05, 0.85) if number else 0.05, shown=number == 0)
            else:
                yield dice.expovariate(often)
                life = player.live()
            world.schedule.begin(life, world.now)


def _described(session_id: UUID, recipe: Recipe) -> DescribedCraft:
    return DescribedCraft(
        session_id=session_id,
        recipe=recipe.name,
        station_type=recipe.station,
        materials=tuple(
            NamedMaterial(material_id=item.material_id, name=item.name, quantity=item.quantity, quality=item.quality)
            for item in recipe.ingredients
        ),
    )
