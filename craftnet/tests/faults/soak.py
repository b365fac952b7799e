"""Faults at random for a long while: `python -m craftnet.tests.faults.soak`, or `make soak`.

SECONDS says for how long (default 1800), SEED what the history is made from (default: the time of day). It prints a
line for each round, and a verdict; the exit status is 1 when something was wrong. A node that nothing kills must need
no more memory, nor more open files, at the end than after the first rounds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from craftnet.tests.faults.faults import FAULTS, Fault, possible
from craftnet.tests.faults.rounds import Round
from craftnet.tests.faults.world import World

SECONDS = float(os.environ.get("SECONDS", "1800"))
SEED = int(os.environ.get("SEED", time.strftime("%H%M%S")))

NODES = 3

WARM = 5
"""Rounds after which the first measurement counts."""

GROWTH = 1.25
"""How many times as much memory a node may need at the end; what Redis restarts leave behind settles slowly."""

SLACK = 12_000
"""Kilobytes that do not count."""

FILES = 20
"""Open files that do not count: sockets of clients that left a moment ago."""

SHIFTS = {False: 600.0, True: 180.0}
"""Seconds after which everything is started afresh, with a sentinel or without: for how long without, and with one."""


class Soak:
    """The whole of it.

    Attributes:
        wrong: what must not have been.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self._deadline = time.monotonic() + seconds
        self._random = Random(seed)
        self._seed = seed
        self.wrong: list[str] = []
        self._rounds = self._returns = self._messages = 0

    async def run(self) -> None:
        """Runs until the time has passed."""
        begun = time.monotonic()
        sentinel = False
        while time.monotonic() < self._deadline:
            await self._world(min(self._deadline, time.monotonic() + SHIFTS[sentinel]), sentinel=sentinel)
            sentinel = not sentinel
        print(
            f"{self._rounds} rounds, {self._returns} connections, {self._messages} messages"
            f" in {time.monotonic() - begun:.0f} s, seed {self._seed}"
        )
        print("VERDICT: " + (f"{len(self.wrong)} FAULTS" if self.wrong else "nothing wrong"))

    async def _world(self, until: float, *, sentinel: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(NODES, Path(folder), sentinel=sentinel)
            try:
                await world.start()
                faults = [fault for fault in FAULTS if possible(fault, world)]
                usage: list[tuple[int, int]] = []
                while time.monotonic() < until:
                    await self._round(world, self._random.choice(faults), usage)
                self._note("memory or files", flat(usage))
            finally:
                await world.stop()

    async def _round(self, world: World, fault: Fault, usage: list[tuple[int, int]]) -> None:
        seed = self._random.getrandbits(32)
        begun = time.monotonic()
        result = await Round(world, fault, Random(seed), crafts=8, steps=40, flood=200).run()
        usage.append(world.usage(0))
        self._rounds += 1
        self._returns += result.returns
        self._messages += result.messages
        memory, files = usage[-1]
        print(
            f"{self._rounds:4} {fault.name:40} {time.monotonic() - begun:5.1f} s {result.returns:5} connections"
            f" {result.messages:6} messages {memory // 1024:4} MB {files:3} files  {len(result.wrong) or 'ok'}",
            flush=True,
        )
        self._note(f"{fault.name} (round seed {seed})", result.wrong)

    def _note(self, where: str, wrong: Sequence[str]) -> None:
        for one in wrong:
            print(f"  WRONG: {where}: {one}", flush=True)
            self.wrong.append(one)


def flat(usage: Sequence[tuple[int, int]]) -> list[str]:
    """What grew from the first rounds that count to the last ones."""
    if len(usage) < 3 * WARM:
        return []
    early, late = usage[WARM : 2 * WARM], usage[-WARM:]
    wrong = []
    before, after = min(memory for memory, _ in early), min(memory for memory, _ in late)
    if after > before * GROWTH + SLACK:
        wrong.append(f"memory grew from {before} to {after} KB")
    before, after = min(files for _, files in early), min(files for _, files in late)
    if after > before + FILES:
        wrong.append(f"open files grew from {before} to {after}")
    return wrong


def main() -> None:
    """Run it."""
    soak = Soak(SECONDS, SEED)
    print(f"faults at random for {SECONDS:.0f} s, seed {SEED}", flush=True)

    def run(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(soak.run())

    try:
        react(run)
    except SystemExit as end:
        sys.exit(1 if soak.wrong or end.code else 0)


if __name__ == "__main__":
    main()
