"""The plan of a load run: how many watchers, which events, in which shares. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from math import ceil
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.contract.messages import rfc3339

Transport = Literal["ws", "udp"]

WS: Transport = "ws"
UDP: Transport = "udp"

SESSION_DURATION = 3600
"""Estimated seconds of every session: the longest that the contract allows."""

TAGS = 100
"""The number of values of `current_quality`: each update of a session carries the next."""

EVENTS_PER_POST = 500
"""Maximum number of events in one body; the body stays below the server's limit of 1 MiB."""

PROCESS_RATE: dict[Transport, float] = {WS: 12_000.0, UDP: 2500.0}
"""Updates per second that one process receives without being the bottleneck."""

_END = 2**29
"""The number of a session's last event: above those of updates, and below what would reach a UUID's variant."""

_RECIPE = UUID(int=0xC0FFEE, version=4)


class LoadPlan(Struct, frozen=True, kw_only=True):
    """The plan of a run for all processes together.

    Attributes:
        url: the server's base URL.
        run: a random number that distinguishes this run's sessions from those of others, 64 bits.
        watchers: the number of sessions, each watched over one connection.
        rate: updates per second of each session.
        ramp: seconds over which the watchers connect.
        seconds: the duration of the updates and of the measurement.
        batch: seconds of events in one body.
    """

    url: str
    run: int
    watchers: int
    rate: float
    ramp: float
    seconds: float
    batch: float


class Share(Struct, frozen=True, kw_only=True):
    """The share of one process: the watchers from `first` on.

    Attributes:
        bound: Unix seconds at which the process gives up, whatever it waits for.
    """

    plan: LoadPlan
    transport: Transport
    first: int
    watchers: int
    token: str
    bound: float

    __repr__ = object.__repr__

    def session(self, number: int) -> UUID:
        """The session of this process's watcher `number`."""
        return UUID(int=self.plan.run << 64 | (self.first + number), version=4)

    def player(self, number: int) -> UUID:
        """The owner of that session: a player of its own, so that no limit per player applies."""
        return UUID(int=self.plan.run << 64 | 1 << 32 | (self.first + number), version=4)

    def due(self, elapsed: float) -> int:
        """How many updates should have been posted by then: evenly spread, the watchers in turn.

        Arguments:
            elapsed: seconds since the updates began.
        """
        return int(min(elapsed, self.plan.seconds) * self.watchers * self.plan.rate)

    def due_at(self, number: int) -> float:
        """When update `number` (of all) should be posted, seconds since the updates began: at the end of its batch."""
        batch = self.plan.batch
        return ceil((number + 1) / (self.watchers * self.plan.rate) / batch) * batch

    def start(self, number: int, now: float) -> bytes:
        """The event that starts a session."""
        session = self.session(number)
        data = {"session_id": session, "recipe_id": _RECIPE, "player_id": self.player(number)}
        return self._event("session.start", number, 0, now, {**data, "estimated_duration_seconds": SESSION_DURATION})

    def update(self, number: int, turn: int, elapsed: float, now: float) -> bytes:
        """Update `turn` of a session: its quality changes, so every watcher must receive it at once.

        Arguments:
            elapsed: seconds since the session was started.
        """
        percent = round(min(99.0, 100.0 * elapsed / SESSION_DURATION), 3)
        data = {"session_id": self.session(number), "progress_percentage": percent, "status": "active"}
        return self._event("session.progress", number, turn + 1, now, {**data, "current_quality": tag(turn)})

    def end(self, number: int, now: float) -> bytes:
        """The event that ends a session."""
        data = {"session_id": self.session(number), "cancel_reason": "player_request"}
        return self._event("session.cancel", number, _END, now, data)

    def _event(self, kind: str, number: int, turn: int, now: float, data: dict[str, object]) -> bytes:
        return msgspec.json.encode(
            {
                "event_id": UUID(int=self.plan.run << 64 | (turn + 1) << 32 | (self.first + number), version=4),
                "event_type": f"crafting.{kind}",
                "timestamp": rfc3339(now),
                "version": "1.0.0",
                "source": "craftnet-load",
                "data": data,
            }
        )


def tag(turn: int) -> int:
    """The quality, 1 to 100, that identifies update `turn` of a session on its arrival."""
    return turn % TAGS + 1


def shares(plan: LoadPlan, transport: str, processes: int, token: str, bound: float) -> list[Share]:
    """Divides a run among processes.

    Arguments:
        transport: "ws", "udp", or "both": half of the watchers each.
        processes: their number; 0: as many as the rate needs. Processes without a watcher are left out.
    """
    halves: dict[Transport, int] = {WS: plan.watchers - plan.watchers // 2, UDP: plan.watchers // 2}
    wanted = halves if transport == "both" else {name: plan.watchers for name in halves if name == transport}
    found, first = [], 0
    for name, watchers in wanted.items():
        number = processes or ceil(watchers * plan.rate / PROCESS_RATE[name])
        number = max(1, min(number, watchers))
        for index in range(number):
            part = watchers * (index + 1) // number - watchers * index // number
            if part:
                share = Share(plan=plan, transport=name, first=first, watchers=part, token=token, bound=bound)
                found.append(share)
                first += part
    return found


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, by its name alone, without a look-up."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False
