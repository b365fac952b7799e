"""One district's stations of one kind: a number of places and a queue for them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from uuid import UUID

from craftnet.events import QueueUpdate
from craftnet.messages import QueueNews, Station
from craftnet.providers.workshop.schedule import Sleeper

JUMP_PRICE = 40
"""The price of moving ahead of one other player."""


class Ticket:
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
        self._line: list[Ticket] = []
        # When each busy station is expected to be free.
        self._ends: dict[UUID, float] = {}

    def position(self, ticket: Ticket) -> int:
        """The position in the queue, from 1."""
        return self._line.index(ticket) + 1

    def enter(self, ticket: Ticket, now: float) -> bool:
        """Takes a free station, else joins the queue. Returns whether a station was free."""
        if self._free and not self._line:
            self._give(ticket, now)
            return True
        self._line.append(ticket)
        return False

    def leave(self, ticket: Ticket) -> tuple[Ticket, ...]:
        """Leaves the queue. Returns the tickets that moved up."""
        index = self._line.index(ticket)
        del self._line[index]
        return tuple(self._line[index:])

    def boost(self, ticket: Ticket, position: int) -> tuple[Ticket, ...]:
        """Moves up to `position`. Returns the tickets that were passed."""
        index = self._line.index(ticket)
        passed = tuple(self._line[position - 1 : index])
        del self._line[index]
        self._line.insert(position - 1, ticket)
        return passed

    def expect(self, workstation_id: UUID, end: float) -> None:
        """Records that the craft at this station is expected to end at `end`, Unix seconds."""
        self._ends[workstation_id] = end

    def release(self, workstation_id: UUID, now: float) -> Ticket | None:
        """Frees a station. Returns the first ticket of the queue, which gets it but stays in the queue for now."""
        del self._ends[workstation_id]
        self._free.append(workstation_id)
        if not self._line:
            return None
        first = self._line[0]
        self._give(first, now)
        return first

    def news(self, ticket: Ticket, kind: QueueNews, now: float) -> QueueUpdate:
        """The authority's queue update for a waiting ticket."""
        position = self.position(ticket)
        ready = kind is QueueNews.STATION_AVAILABLE
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

    def _give(self, ticket: Ticket, now: float) -> None:
        ticket.workstation_id = self._free.pop()
        self.expect(ticket.workstation_id, now + ticket.seconds)
