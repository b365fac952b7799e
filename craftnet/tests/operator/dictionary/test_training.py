"""Training and measuring."""

from __future__ import annotations

from random import Random
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import CraftingProgressData, Status, WebSocketCraftingMessage, to_json
from craftnet.operator.dictionary.corpus import Blanking
from craftnet.operator.dictionary.training import evaluate, train
from craftnet.protocols.websocket.core.compression import compress_message
from craftnet.protocols.websocket.core.dictionaries import PRESET, Dictionary


def messages(number: int, seed: int, reason: str = "the_furnace_is_too_cold_for_this_alloy") -> list[bytes]:
    """Failures with a reason that the dictionary of the package does not have."""
    random = Random(seed)
    blanking, made = Blanking(random), []
    for _ in range(number):
        session = UUID(int=random.getrandbits(128))
        data = CraftingProgressData(
            session_id=session,
            progress_percentage=random.randrange(100),
            status=Status.FAILED,
            failure_reason=reason,
        )
        made.append(
            blanking.blank(
                to_json(
                    WebSocketCraftingMessage(
                        type="crafting_failed",
                        session_id=session,
                        timestamp="2026-11-28T00:00:00.000Z",
                        progress_data=data,
                        epoch="0a1b2c3d4e5f",
                        version=random.randrange(2**30),
                    )
                )
            )
        )
    return made


class TrainingTests(SynchronousTestCase):
    def test_it_learns(self) -> None:
        steps: list[tuple[int, int]] = []
        made = train(messages(600, 1), 4096, lambda number, of: steps.append((number, of)))
        self.assertLessEqual(len(made.octets), 4096)
        self.assertEqual((steps[0][0], steps[-1]), (1, (made.tried, made.tried)))
        self.assertIn(b"the_furnace_is_too_cold_for_this_alloy", made.octets)
        new = Dictionary.of(2, made.octets)
        found = evaluate(messages(100, 2), new)
        self.assertGreater(found.total.gain, 0.2)
        self.assertEqual([(row.kind, row.messages) for row in found.rows], [("crafting_failed", 100), ("all", 100)])
        sizes = [len(compress_message(message, new)) for message in messages(100, 2)]
        self.assertAlmostEqual(found.total.after, sum(sizes) / 100)

    def test_another_one_costs_more(self) -> None:
        found = evaluate(messages(50, 3), Dictionary.of(2, b"of no use at all"))
        self.assertLess(found.total.gain, 0)
        self.assertGreaterEqual(found.total.without, found.total.after)
        self.assertEqual(evaluate(messages(50, 3), PRESET).total.gain, 0)
