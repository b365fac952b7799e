"""Stations and their queues, and the districts that they stand in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from uuid import UUID

from craftnet.contract.events import QueueUpdate
from craftnet.contract.messages import QueueMessageType, Station
from craftnet.providers.workshop.simulation.catalogue import RECIPES, name_id
from craftnet.providers.workshop.simulation.world import Sleeper

JUMP_PRICE = 40
"""The price of moving ahead of one other player."""


class QueueTicket:
    """A player's place in the queue for the coming session.

    Attributes:
        seconds: the nominal time for which the station is needed.
        owner: the life to resume when a station is free.
        workstation_id: the assigned station; None while waiting.
    """

    __slots__ = ("owner", "player_id", "seconds", "session_id", "workstation_id")

    def __init__(self, player_id: UUID, session_id: UUID, seconds: float, owner: Sleeper) -> None:
        self.player_id = player_id
        self.session_id = session_id
        self.seconds = seconds
        self.owner = owner
        self.workstation_id: UUID | None = None


class Workbench:
    """Stations and their queue.

    Arguments:
        workstations: the ids of the stations, at least one.
    """

    def __init__(self, station: Station, workstations: Sequence[UUID]) -> None:
        self.station = station
        self._free = list(workstations)
        self._line: list[QueueTicket] = []
        # When each busy station is expected to be free.
        self._ends: dict[UUID, float] = {}

    def position(self, ticket: QueueTicket) -> int:
        """The position in the queue, from 1."""
        return self._line.index(ticket) + 1

    def enter(self, ticket: QueueTicket, now: float) -> bool:
        """Takes a free station, else joins the queue. Returns whether a station was free."""
        if self._free and not self._line:
            self._give(ticket, now)
            return True
        self._line.append(ticket)
        return False

    def leave(self, ticket: QueueTicket) -> tuple[QueueTicket, ...]:
        """Leaves the queue. Returns the tickets that moved up."""
        index = self._line.index(ticket)
        del self._line[index]
        return tuple(self._line[index:])

    def boost(self, ticket: QueueTicket, position: int) -> tuple[QueueTicket, ...]:
        """Moves up to `position`. Returns the tickets that were passed."""
        index = self._line.index(ticket)
        passed = tuple(self._line[position - 1 : index])
        del self._line[index]
        self._line.insert(position - 1, ticket)
        return passed

    def expect(self, workstation_id: UUID, end: float) -> None:
        """Records that the craft at this station is expected to end at `end`, Unix seconds."""
        self._ends[workstation_id] = end

    def release(self, workstation_id: UUID, now: float) -> QueueTicket | None:
        """Frees a station. Returns the first ticket of the queue, which gets it but stays in the queue for now."""
        del self._ends[workstation_id]
        self._free.append(workstation_id)
        if not self._line:
            return None
        first = self._line[0]
        self._give(first, now)
        return first

    def news(self, ticket: QueueTicket, kind: QueueMessageType, now: float) -> QueueUpdate:
        """The authority's queue update for a waiting ticket."""
        position = self.position(ticket)
        ready = kind is QueueMessageType.STATION_AVAILABLE
        return QueueUpdate(
            type=kind,
            player_id=ticket.player_id,
            queue_position=position,
            total_in_queue=len(self._line),
            estimated_wait_seconds=0 if ready else self.wait(position, now),
            station_type=self.station,
            can_jump_queue=position > 1,
            jump_queue_cost=JUMP_PRICE * (position - 1) if position > 1 else None,
        )

    def wait(self, position: int, now: float) -> int:
        """Whole seconds until `position` gets a station, if every craft ahead takes its nominal time."""
        ends = [max(now, end) for end in self._ends.values()]
        heapify(ends)
        for ahead in self._line[: position - 1]:
            heapreplace(ends, ends[0] + ahead.seconds)
        return round(ends[0] - now)

    def _give(self, ticket: QueueTicket, now: float) -> None:
        ticket.workstation_id = self._free.pop()
        self.expect(ticket.workstation_id, now + ticket.seconds)


POPULATION = 50
"""Players in a district: enough for queues, few enough that a move of a queue concerns few of them."""

_SHARE = 0.5
"""Places for each player at all stations together; players would like to use more."""

_DEMAND = {
    station: sum(recipe.popularity * recipe.seconds for recipe in RECIPES if recipe.station is station)
    for station in Station
}


class District:
    """A zone with stations of every kind: benches in proportion to the demand, at least one of each.

    Arguments:
        number: distinguishes it from other districts.
        players: the number of its players.
    """

    def __init__(self, number: int, players: int) -> None:
        self.zone_id = str(name_id("zone", str(number)))
        total = players * _SHARE / sum(_DEMAND.values())
        self.benches = {
            station: Workbench(
                station,
                [name_id(station, f"{number}/{index}") for index in range(max(1, round(total * demand)))],
            )
            for station, demand in _DEMAND.items()
        }
