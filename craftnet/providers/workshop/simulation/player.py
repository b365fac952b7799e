"""One player: chooses, queues, crafts, rests, and starts again. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from uuid import UUID

from craftnet.contract.messages import QueueMessageType
from craftnet.providers.workshop.simulation.catalogue import RECIPES, Recipe
from craftnet.providers.workshop.simulation.craft import SHORTEST, Craft, estimate
from craftnet.providers.workshop.simulation.stations import District, QueueTicket, Workbench
from craftnet.providers.workshop.simulation.world import Life, World

SHOWPIECE = 180.0
"""Approximate duration of the craft that is shown to visitors, seconds of real time …"""

SHOWPIECE_AT_LEAST = 120.0
"""… and its minimum, however fast simulated time runs."""

SHORT_REST = 5.0
"""Longest rest of the player whom visitors see, seconds of real time."""

_WANTED = tuple(accumulate(recipe.popularity for recipe in RECIPES))
"""Cumulative probability of each recipe among choices."""

_SEEN = tuple(accumulate(recipe.popularity * recipe.seconds for recipe in RECIPES))
"""Cumulative probability of each recipe at a random moment: long crafts are met more often than they are chosen."""


class Waiting:
    """A player who waits for a station.

    Attributes:
        position: in the queue, from 1; 0 once a station is free.
    """

    def __init__(self, player: Player, bench: Workbench, ticket: QueueTicket, recipe: Recipe) -> None:
        self._player = player
        self._bench = bench
        self.ticket = ticket
        self.recipe = recipe

    @property
    def position(self) -> int:
        return 0 if self.ticket.workstation_id is not None else self._bench.position(self.ticket)

    def jump(self) -> Life:
        """Moves the player to the front, unless a station is free by then."""
        if self._player.is_waiting(self) and self.position > 1:
            self._player.move(self._bench, self.ticket, 1)
        yield from ()


class Player:
    """A simulated player.

    Arguments:
        running: all current crafts by session; the player adds and removes its own.
        waiting: all players who wait, by id; the player adds and removes itself.
    """

    def __init__(
        self, world: World, district: District, running: dict[UUID, Craft], waiting: dict[UUID, Waiting]
    ) -> None:
        self.player_id = world.new_player_id()
        self._world = world
        self._district = district
        self._running = running
        self._waiting = waiting

    def live(self, *, head_start: float = 0.0, shown: bool = False) -> Life:
        """The player's life.

        Arguments:
            head_start: the fraction of the first craft already done when the simulation begins, 0 to 1.
            shown: visitors see the player: the first craft is long enough, and successful, and rests are short.
        """
        world, longest_rest = self._world, SHORT_REST if shown else math.inf
        recipe = _showpiece(world.settings.speed) if shown else self._choice(_SEEN if head_start else _WANTED)
        while True:
            bench = self._district.benches[recipe.station]
            seconds = estimate(recipe, world.settings.speed)
            ticket = QueueTicket(self.player_id, world.new_id(), seconds, world.schedule.current)
            if not bench.enter(ticket, world.now):
                head_start = 0.0
                self._waiting[self.player_id] = Waiting(self, bench, ticket, recipe)
                yield from self._wait(bench, ticket)
                del self._waiting[self.player_id]
            if ticket.workstation_id is not None:
                yield from self._craft(recipe, ticket.session_id, ticket.workstation_id, head_start, shown)
                self._release(bench, ticket.workstation_id)
            head_start, shown = 0.0, False
            rest = world.dice.expovariate(world.settings.speed / 40.0)
            yield min(world.bias.rest(rest, world.now * world.settings.speed), longest_rest)
            recipe = self._choice(_WANTED)

    def _choice(self, weights: Sequence[float]) -> Recipe:
        return self._world.dice.choices(RECIPES, cum_weights=weights)[0]

    def _wait(self, bench: Workbench, ticket: QueueTicket) -> Life:
        """Queues until a place is free or patience runs out; some players pay to move ahead."""
        world = self._world
        self._news(bench, ticket, QueueMessageType.QUEUE_POSITION)
        give_up_after = world.some(20, 150) if world.strikes(0.3) else math.inf
        boost = world.some(3, 20) if world.dice.random() < 0.15 else math.inf
        if boost < give_up_after:
            yield boost
            give_up_after -= boost
            if ticket.workstation_id is None:
                self._boost(bench, ticket)
        if ticket.workstation_id is None:
            yield give_up_after
        if ticket.workstation_id is None:
            self._news(bench, ticket, QueueMessageType.QUEUE_TIMEOUT)
            self._moved(bench, bench.leave(ticket))
            return
        # The walk to the station. Some players get lost or find something better to do.
        yield world.some(0.5, 3)
        if world.strikes(0.03):
            self._release(bench, ticket.workstation_id)
            ticket.workstation_id = None

    def _craft(self, recipe: Recipe, session_id: UUID, workstation_id: UUID, head_start: float, shown: bool) -> Life:
        least = SHOWPIECE_AT_LEAST if shown else SHORTEST
        craft = Craft(self._world, recipe, self.player_id, session_id, least=least, blessed=shown)
        self._district.benches[recipe.station].expect(
            workstation_id, self._world.now + craft.estimate * (1.0 - head_start)
        )
        self._running[session_id] = craft
        self._world.load = len(self._running) / self._world.settings.players
        yield from craft.live(self._district.zone_id, workstation_id, head_start)
        del self._running[session_id]

    def _boost(self, bench: Workbench, ticket: QueueTicket) -> None:
        position = bench.position(ticket)
        if position > 1:
            self.move(bench, ticket, self._world.dice.randrange(1, position))

    def move(self, bench: Workbench, ticket: QueueTicket, position: int) -> None:
        """Moves up to `position`."""
        passed = bench.boost(ticket, position)
        self._news(bench, ticket, QueueMessageType.PRIORITY_BOOST)
        self._moved(bench, passed)

    def is_waiting(self, waiting: Waiting) -> bool:
        """Whether the player still waits as `waiting` says."""
        return self._waiting.get(self.player_id) is waiting

    def _release(self, bench: Workbench, workstation_id: UUID) -> None:
        """Frees the place for the first player in the queue."""
        first = bench.release(workstation_id, self._world.now)
        if first is not None:
            self._news(bench, first, QueueMessageType.STATION_AVAILABLE)
            self._moved(bench, bench.leave(first))
            self._world.schedule.wake(first.owner)

    def _moved(self, bench: Workbench, tickets: Iterable[QueueTicket]) -> None:
        for ticket in tickets:
            self._news(bench, ticket, QueueMessageType.QUEUE_POSITION)

    def _news(self, bench: Workbench, ticket: QueueTicket, kind: QueueMessageType) -> None:
        self._world.publish(bench.news(ticket, kind, self._world.now), ticket.session_id)


def _showpiece(speed: float) -> Recipe:
    return min(RECIPES, key=lambda recipe: abs(recipe.seconds / speed - SHOWPIECE))
