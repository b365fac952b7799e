"""A load of authority events, and the faults that strike in the midst of it: all of it made from one seed. Pure."""

from __future__ import annotations

from enum import Enum
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet.contract.messages import rfc3339
from craftnet.tests.support.samples import COPPER, IRON, RECIPE

BEGIN = 1_780_000_000.0
"""Unix seconds, long ago: events keep their age, however fast they are posted."""

GROUPS = 4
"""Connections over which the authority posts. A session's events keep to one of them."""

Body = list[dict[str, Any]]


class Fault(Enum):
    """The faults."""

    REDIS = "Redis is killed, and started again"
    NODE = "a node is killed"


class TimedFault(Struct, frozen=True):
    """A fault, and when it strikes.

    Attributes:
        after: how many posts of the round are answered by then.
        node: which node, if it is one.
    """

    fault: Fault
    after: int
    node: int = 0


class Post(Struct, frozen=True):
    """A body of events, and the node that is asked first to take it."""

    body: Body
    node: int


class Round(Struct, frozen=True):
    """Posts, by group. The next round begins when all of this one are taken.

    Attributes:
        strike: what happens meanwhile.
    """

    posts: list[list[Post]]
    fault: TimedFault | None = None


class Load(Struct, frozen=True):
    """The whole of it.

    Attributes:
        sessions: each with its player.
        beginning: what makes them; nothing strikes then.
        rounds: all that follows. Every session ends in one of them.
    """

    sessions: dict[UUID, UUID]
    beginning: Round
    rounds: list[Round]

    @property
    def events(self) -> Body:
        """Every event, in an order that keeps that of each session."""
        rounds = (self.beginning, *self.rounds)
        return [event for each in rounds for group in each.posts for post in group for event in post.body]


def load(seed: int, sessions: int, rounds: int) -> Load:
    """Make one, for two nodes: in a row Redis, one node and the other one are struck, in an order of the seed's.

    Arguments:
        sessions: at least 12, so that there are posts left when something strikes.
        rounds: at least 5, the first of which is the beginning.
    """
    random = Random(seed)
    lives = {UUID(int=random.getrandbits(128)): UUID(int=random.getrandbits(128)) for _ in range(sessions)}
    fault_rounds = sorted(random.sample(range(1, rounds - 1), 3))
    faults = [Fault.REDIS, Fault.NODE, Fault.NODE]
    random.shuffle(faults)
    node = random.randrange(2)
    timed_faults: dict[int, TimedFault] = {}
    for number, fault in zip(fault_rounds, faults, strict=True):
        timed_faults[number] = TimedFault(fault, random.randrange(1, GROUPS + 1), node)
        node = 1 - node if fault is Fault.NODE else node
    # With every fault two sessions end, the others after all of them.
    last = [
        *fault_rounds,
        *fault_rounds,
        *(random.randrange(fault_rounds[-1] + 1, rounds) for _ in range(sessions - 2 * len(fault_rounds))),
    ]
    random.shuffle(last)
    scripts = [_Life(random, session, player) for session, player in lives.items()]

    def made(number: int) -> Round:
        posts: list[list[Post]] = [[] for _ in range(GROUPS)]
        for index, life in enumerate(scripts):
            group = posts[index % GROUPS]
            if number == 0:
                group.append(Post(life.beginning(), random.randrange(2)))
            elif number < last[index]:
                steps = random.randrange(2, 4) if number in timed_faults else random.randrange(3)
                group.extend(Post([life.step()], random.randrange(2)) for _ in range(steps))
            elif number == last[index]:
                group.append(Post([life.step(), life.end()], random.randrange(2)))
        return Round(posts, timed_faults.get(number))

    beginning, *others = (made(number) for number in range(rounds))
    return Load(lives, beginning, others)


class _Life:
    """The authority's events of one session. Progress grows, which shows whether a watcher goes back."""

    def __init__(self, random: Random, session: UUID, player: UUID) -> None:
        self._random = random
        self._session = session
        self._player = player
        self._percent = 0.0
        self._paused = False
        self._moments = count(1)

    def beginning(self) -> Body:
        """It waits in a queue, and starts."""
        waits = {"player_id": str(self._player), "queue_position": 2, "station_type": "laboratory"}
        materials = [{"material_id": str(each), "quantity": 10, "quality": 50} for each in (IRON, COPPER)]
        start: dict[str, Any] = {"player_id": str(self._player), "recipe_id": str(RECIPE), "materials": materials}
        return [
            self._event("queue.update", waits, session_id=str(self._session)),
            self._event("session.start", {"session_id": str(self._session), **start}),
        ]

    def step(self) -> dict[str, Any]:
        """Something happens."""
        random, named = self._random, {"session_id": str(self._session)}
        if self._paused:
            self._paused = False
            return self._event("session.resume", named)
        drawn = random.random()
        if drawn < 0.2:
            self._paused = True
            return self._event("session.pause", {**named, "pause_reason": "player_afk"})
        if drawn < 0.35:
            queue_status = {"player_id": str(self._player), "queue_position": random.randrange(1, 9)}
            return self._event("queue.update", {**queue_status, "station_type": "laboratory"}, **named)
        if drawn < 0.6:
            change = {"material_id": str(IRON), "change_type": "quantity_changed", "new_quantity": random.randrange(10)}
            kind = random.choice(["insufficient_quantity", "material_restored"])
            news = {"material_id": str(COPPER), "notification_type": kind, "available_quantity": random.randrange(10)}
            return self._event("materials.update", {**named, "changes": [change], "notifications": [news]})
        self._percent += (100.0 - self._percent) * random.uniform(0.05, 0.2)
        report = {"progress_percentage": self._percent, "status": "active"}
        return self._event("session.progress", {**named, **report})

    def end(self) -> dict[str, Any]:
        """It ends, in one of three ways."""
        ends: list[tuple[str, dict[str, Any]]] = [
            ("session.complete", {"result_item_id": str(RECIPE), "duration_seconds": 60}),
            ("session.fail", {"failure_reason": "system_error"}),
            ("session.cancel", {"cancel_reason": "zone_change"}),
        ]
        kind, more = self._random.choice(ends)
        return self._event(kind, {"session_id": str(self._session), **more})

    def _event(self, kind: str, data: dict[str, Any], **more: str) -> dict[str, Any]:
        return {
            "event_id": str(UUID(int=self._random.getrandbits(128))),
            "event_type": f"crafting.{kind}",
            "timestamp": rfc3339(BEGIN + next(self._moments)),
            "version": "1.0.0",
            "source": "tests",
            "data": data,
            **more,
        }
