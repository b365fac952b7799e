"""Each fault once, under load: what no watcher may see.

`make soak` does the same at random, for as long as wanted. CRAFTNET_SEED chooses another history.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase, TestCase

from craftnet.tests.faults.faults import FAULTS, Fault, possible
from craftnet.tests.faults.records import Opened, ReceivedMessage, Record, violations
from craftnet.tests.faults.rounds import Round
from craftnet.tests.faults.world import World
from craftnet.tests.support.nodes import earlier_version

SEED = int(os.environ.get("CRAFTNET_SEED", "20"))

BEFORE = os.environ.get("CRAFTNET_BEFORE", "")
"""The folder with `python` and `twistd` of an environment in which an earlier version is installed."""

EARLIER = "1b7ee179b7a629da403baca962c3ca04b058c301"
"""The commit that counts as the version before, where `BEFORE` names none."""


class FaultsTestCase(TestCase):
    """A separate world for some faults."""

    timeout = 400
    sentinel = False

    async def inject(self, *, lossless: bool) -> None:
        """One after the other. Those that set clocks are left out where that cannot be done."""
        folder = Path(self.mktemp())
        folder.mkdir()
        world = World(2, folder.absolute(), sentinel=self.sentinel)
        self.addCleanup(world.stop)
        await world.start()
        for fault in FAULTS:
            if fault.lossless is lossless and fault.short and possible(fault, world):
                result = await Round(world, fault, Random(f"{SEED} {fault.name}"), steps=12).run()
                self.assertGreater(result.messages, 50, fault.name)
                self.assertEqual(result.wrong, [], f"{fault.name}:\n" + "\n".join(result.wrong))


class LosslessTests(FaultsTestCase):
    async def test_faults(self) -> None:
        """Connections that stall, nodes and Redis that die, clocks that are apart or set."""
        await self.inject(lossless=True)


class LossyTests(FaultsTestCase):
    async def test_faults(self) -> None:
        """Redis loses everything, the newest, or something."""
        await self.inject(lossless=False)


class FailOverTests(FaultsTestCase):
    sentinel = True

    async def test_faults(self) -> None:
        """A replica takes over."""
        await self.inject(lossless=False)


class UpgradeTests(TestCase):
    """A node of an earlier version beside one of this version, on one Redis."""

    timeout = 300

    async def test_side_by_side(self) -> None:
        """The older node is then replaced, as in a rolling upgrade. Each reads what the other has written."""
        folder, before = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        folder.mkdir()
        before.mkdir()
        world = World(2, folder, before=Path(BEFORE) if BEFORE else earlier_version(EARLIER, before))
        self.addCleanup(world.stop)
        await world.start()

        async def begin(world: World, random: Random) -> Sequence[str]:
            return ()

        async def upgrade(world: World, random: Random) -> Sequence[str]:
            await world.upgrade()
            return ()

        # Positions of one version need not be valid with the other: then the whole state follows.
        fault = Fault("an upgrade", begin, upgrade, same_server=False)
        result = await Round(world, fault, Random(f"{SEED} {fault.name}"), steps=200).run()
        self.assertGreater(result.messages, 500)
        self.assertEqual(result.wrong, [], "\n".join(result.wrong))


def received(version: int, epoch: str = "e", **more: object) -> ReceivedMessage:
    """A message."""
    return ReceivedMessage(
        {"type": "of any kind", "timestamp": "2026-01-01T00:00:00.000Z", "epoch": epoch, "version": version, **more}
    )


def of(status: str) -> dict[str, str]:
    """Records of a craft's progress."""
    return {"status": status}


def short(number: int) -> dict[str, int]:
    """Records of a shortage."""
    return {"required_quantity": number}


class RecordTests(SynchronousTestCase):
    """The violations found in a player's records."""

    def found(self, *entries: Opened | ReceivedMessage, lossless: bool = True) -> int:
        """How many things."""
        record = Record()
        for entry in entries:
            record.take(entry)
        return len(violations(record, lossless=lossless))

    def test_nothing(self) -> None:
        first = (Opened(0, ""), received(1, progress_data=of("active")), received(2, material_data=short(1)))
        then = (Opened(1, "e:2"), received(2, recovered=True), received(3, material_data=short(2)))
        self.assertEqual(self.found(*first, *then, received(4, progress_data=of("completed"))), 0)
        # A whole state repeats the newest, and restarts the count.
        again = (Opened(0, "e:3"), received(3, recovered=False), received(3, material_data=short(2)))
        self.assertEqual(self.found(*first, *then, *again, received(4, material_data=short(3))), 0)

    def test_older_after_newer(self) -> None:
        """In one epoch, over whichever connections; in another one versions begin again."""
        self.assertEqual(self.found(Opened(0, ""), received(5), Opened(1, "e:5"), received(4, recovered=False)), 1)
        self.assertEqual(self.found(Opened(0, ""), received(5), Opened(1, "e:5"), received(4, "f", recovered=False)), 0)

    def test_ends(self) -> None:
        ended = (Opened(0, ""), received(1, progress_data=of("completed")))
        self.assertEqual(self.found(*ended, received(1, progress_data=of("completed"))), 1)
        self.assertEqual(self.found(*ended, Opened(1, "e:1"), received(1, progress_data=of("completed"))), 0)
        self.assertEqual(self.found(*ended, Opened(1, ""), received(1, progress_data=of("active"))), 1)
        # Where Redis has lost the craft, it may begin again.
        self.assertEqual(
            self.found(*ended, Opened(1, ""), received(1, "f", progress_data=of("active")), lossless=False), 0
        )

    def test_shortages(self) -> None:
        first = (Opened(0, ""), received(1, material_data=short(1)))
        for numbers in ((3,), (2, 2), (1,)):
            self.assertEqual(self.found(*first, *(received(2, material_data=short(number)) for number in numbers)), 1)
