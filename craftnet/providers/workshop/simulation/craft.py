"""One craft from its start to its end, with everything that happens to it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from craftnet.contract.events import (
    EventData,
    EventMaterial,
    MaterialsUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import ChangeType, MaterialChange, Status
from craftnet.providers.workshop.simulation.catalogue import Recipe, name_id
from craftnet.providers.workshop.simulation.shortages import quantity_changed, shortage
from craftnet.providers.workshop.simulation.world import Life, World

SHORTEST, LONGEST = 1.0, 3600.0
"""The contract's limit of an estimated duration, seconds."""

CATALYST = name_id("material", "catalyst drop")
"""The catalyst that players sometimes add to improve a craft."""

Grade = Literal["poor", "common", "uncommon", "rare", "epic", "legendary"]
Failure = Literal["insufficient_materials", "recipe_error", "player_disconnect", "timeout", "system_error"]
Cancel = Literal["player_request", "zone_change", "combat_start"]
Pause = Literal["player_afk", "combat_start", "system_maintenance", "technical_issue"]

GRADES: tuple[tuple[int, Grade], ...] = (
    (88, "legendary"),
    (78, "epic"),
    (65, "rare"),
    (50, "uncommon"),
    (25, "common"),
)
"""The minimum quality of each grade, best first; below the last a result is poor."""

_FAILURES: tuple[Failure, ...] = ("recipe_error", "recipe_error", "player_disconnect", "timeout", "system_error")
_CANCELS: tuple[Cancel, ...] = ("player_request", "player_request", "zone_change", "combat_start")
_PAUSES: tuple[Pause, ...] = ("player_afk", "player_afk", "combat_start", "system_maintenance", "technical_issue")

Moment = tuple[float, Callable[[], Life]]
"""The fraction of the work, 0 to 1, at which something happens, and what happens."""


def _quality(level: int) -> int:
    return min(100, max(1, level))


def estimate(recipe: Recipe, speed: float, least: float = SHORTEST) -> float:
    """The authority's estimate of a craft's duration, seconds of real time, at least `least`."""
    return min(LONGEST, max(least, recipe.seconds / speed))


class Craft:
    """One session.

    Arguments:
        least: minimum duration in seconds of real time.
        blessed: it completes, whatever happens on the way.

    Attributes:
        estimate: the authority's estimate at the start, seconds of real time.
        status: the present status; None before the start.
        ends: when it completes if nothing else happens, Unix seconds.
        doomed: it will not complete.
    """

    def __init__(
        self,
        world: World,
        recipe: Recipe,
        player_id: UUID,
        session_id: UUID,
        *,
        least: float = SHORTEST,
        blessed: bool = False,
    ) -> None:
        self.session_id = session_id
        self.player_id = player_id
        self.estimate = estimate(recipe, world.settings.speed, least)
        self.status: Status | None = None
        self.ends = math.inf
        self.doomed = False
        self._world = world
        self.recipe = recipe
        # Work is measured in seconds at pace 1. The authority knows the pace, and nothing of the drag.
        self._left = self.estimate
        self._pace = world.dice.uniform(0.87, 1.15)
        self._offset = world.bias.offset(session_id)
        self._drag = 1.0
        self._target = _quality(recipe.quality + self._offset)
        self._quality = max(1, round(self._target * world.dice.uniform(0.7, 0.95)))
        self._brought = [
            EventMaterial(
                item.material_id, item.quantity, _quality(item.quality + world.dice.randrange(15) + self._offset)
            )
            for item in recipe.ingredients
        ]
        self._materials = {material.material_id: material.quantity for material in self._brought}
        # Materials are used in this many portions, each in the middle of its share of the time.
        self._portions = min(4, 1 + max(self._materials.values()))
        self._catalysed = False
        self._plan = self._fate(blessed)

    def live(self, zone_id: str, workstation_id: UUID, head_start: float = 0.0) -> Life:
        """Crafts. `head_start`: the fraction already done when the simulation begins, 0 to 1."""
        world = self._world
        self._drag = world.bias.drag(self.recipe.recipe_id, workstation_id, self._offset, world.load)
        self._start(zone_id, workstation_id, head_start)
        for fraction, happen in self._plan:
            if fraction > head_start:
                yield from self._work(fraction)
                yield from happen()
                if self.status is Status.FAILED:
                    return
        yield from self._work(1.0)
        self._complete()

    def _fate(self, blessed: bool) -> list[Moment]:
        """Everything that will happen, in order."""
        world, dice = self._world, self._world.dice
        plan: list[Moment] = [
            ((number - 0.5) / self._portions, partial(self._consume, number)) for number in range(1, self._portions + 1)
        ]
        plan += [(dice.uniform(0.1, 0.9), self._change_pace) for _ in range(dice.randrange(3))]
        if dice.random() < 0.15:
            plan.append((dice.uniform(0.1, 0.7), self._add_catalyst))
        if world.strikes(0.2):
            plan.append((dice.uniform(0.1, 0.9), self._pause))
        if world.strikes(0.1):
            plan.append((dice.uniform(0.1, 0.9), self._interrupt))
        if world.strikes(0.25):
            fatal = not blessed and dice.random() < 0.2
            self.doomed = fatal
            # Before the last portion is used, so that something is still needed.
            plan.append((dice.uniform(0.1, 0.7), partial(self._run_short, fatal)))
        if not blessed and world.strikes(0.05):
            self.doomed = True
            plan.append((dice.uniform(0.1, 0.8), self._cancel))
        if not blessed and world.strikes(self.recipe.difficulty):
            self.doomed = True
            plan.append((dice.uniform(0.3, 0.98), partial(self._fail, dice.choice(_FAILURES))))
        return sorted(plan, key=itemgetter(0))

    def _start(self, zone_id: str, workstation_id: UUID, head_start: float) -> None:
        started = self._world.now - head_start * self.estimate
        self._left = self.estimate * (1.0 - head_start)
        start = SessionStart(
            session_id=self.session_id,
            recipe_id=self.recipe.recipe_id,
            player_id=self.player_id,
            materials=tuple(self._brought),
            estimated_duration_seconds=self.estimate,
            workstation_id=workstation_id,
            zone_id=zone_id,
        )
        self._publish(start, started)
        self._use_up(math.floor(head_start * self._portions + 0.5))
        self._report(Status.ACTIVE)

    def _work(self, fraction: float) -> Life:
        """Works until this fraction is done, with a report now and then."""
        rate, dice = self._world.settings.rate, self._world.dice
        goal = self.estimate * (1.0 - fraction)
        while True:
            self.ends = self._world.now + self._remaining
            needed = (self._left - goal) / self._pace * self._drag
            gap = dice.uniform(0.75, 1.25) / rate if rate else math.inf
            if needed <= gap:
                yield max(0.0, needed)
                self._left = goal
                return
            yield gap
            self._left -= gap * self._pace / self._drag
            self._report(Status.ACTIVE)

    # What may happen on the way. Each event takes its time, or none.

    def _consume(self, portions: int) -> Life:
        self._use_up(portions)
        self._drift(-1, 4)
        self._report(Status.ACTIVE)
        yield from ()

    def _change_pace(self) -> Life:
        self._pace = self._world.dice.uniform(0.8, 1.25)
        self._report(Status.ACTIVE)
        yield from ()

    def _add_catalyst(self) -> Life:
        self._catalysed = True
        quality = self._world.dice.randint(60, 100)
        added = MaterialChange(material_id=CATALYST, change_type=ChangeType.ADDED, new_quantity=1, new_quality=quality)
        self._publish(MaterialsUpdate(session_id=self.session_id, changes=(added,)))
        yield from ()

    def _pause(self) -> Life:
        self.status = Status.PAUSED
        self._publish(SessionPause(session_id=self.session_id, pause_reason=self._world.dice.choice(_PAUSES)))
        yield self._world.some(6, 45)
        self._resume()

    def _interrupt(self) -> Life:
        """A power cut, which also lowers the quality."""
        self._drift(-5, 0)
        self._report(Status.INTERRUPTED)
        yield self._world.some(4, 20)
        self._resume()

    def _run_short(self, fatal: bool) -> Life:
        """A shortage of a material; the work stops until it is solved or the player gives up."""
        material = self._world.dice.choice(self._brought)
        needed = replace(material, quantity=self._materials[material.material_id])
        problem, mended = shortage(self.session_id, needed, self._world.dice)
        self._publish(problem)
        self._report(Status.INTERRUPTED)
        yield self._world.some(6, 40)
        if fatal:
            yield from self._fail("insufficient_materials")
            return
        self._publish(mended)
        self._resume()

    def _cancel(self) -> Life:
        """The player cancels and takes back what is left."""
        self.status = Status.FAILED
        left = [replace(item, quantity=self._materials[item.material_id]) for item in self._brought]
        cancel = SessionCancel(
            session_id=self.session_id,
            cancel_reason=self._world.dice.choice(_CANCELS),
            materials_returned=tuple(item for item in left if item.quantity),
        )
        self._publish(cancel)
        yield from ()

    def _fail(self, reason: Failure) -> Life:
        """The craft fails; its materials are lost."""
        self.status = Status.FAILED
        lost = [replace(item, quantity=item.quantity - self._materials[item.material_id]) for item in self._brought]
        fail = SessionFail(
            session_id=self.session_id,
            failure_reason=reason,
            materials_lost=tuple(item for item in lost if item.quantity),
        )
        self._publish(fail)
        yield from ()

    def _complete(self) -> None:
        self.status = Status.COMPLETED
        complete = SessionComplete(
            session_id=self.session_id,
            result_item_id=self.recipe.result_id,
            quality=next((grade for least, grade in GRADES if self._quality >= least), "poor"),
            experience_gained=round(self.recipe.seconds * self._quality / 20.0),
            materials_used=tuple(self._brought),
        )
        self._publish(complete)

    @property
    def _remaining(self) -> float:
        """As the authority believes."""
        return self._left / self._pace

    def _publish(self, data: EventData, at: float | None = None) -> None:
        self._world.publish(data, self.session_id, at)

    def _report(self, status: Status) -> None:
        """The authority's report; its estimate of the remaining time is never exact."""
        self.status = status
        progress = SessionProgress(
            session_id=self.session_id,
            progress_percentage=100.0 * (1.0 - self._left / self.estimate),
            status=status,
            remaining_time_seconds=self._remaining * self._world.dice.uniform(0.997, 1.003),
            current_quality=self._quality,
            target_quality=self._target,
        )
        self._publish(progress)

    def _resume(self) -> None:
        self.status = Status.ACTIVE
        self._publish(SessionResume(session_id=self.session_id, remaining_duration_seconds=self._remaining))

    def _drift(self, least: int, most: int) -> None:
        self._quality = min(100, max(1, self._quality + self._world.dice.randint(least, most)))

    def _use_up(self, portions: int) -> None:
        """Uses this many portions of every material so far, and the catalyst, if there is one."""
        changes = []
        for material in self._brought:
            left = material.quantity - material.quantity * portions // self._portions
            if left != self._materials[material.material_id]:
                self._materials[material.material_id] = left
                changes.append(quantity_changed(material.material_id, left))
        if self._catalysed:
            self._catalysed = False
            self._drift(2, 8)
            changes.append(MaterialChange(material_id=CATALYST, change_type=ChangeType.REMOVED))
        if changes:
            self._publish(MaterialsUpdate(session_id=self.session_id, changes=tuple(changes)))
