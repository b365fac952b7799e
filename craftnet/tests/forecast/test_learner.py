"""What a node learns from the crafts that end on it, and what it keeps across restarts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.contract.events import Event, EventData, SessionCancel, SessionComplete, SessionProgress
from craftnet.contract.messages import Status
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.forecast.learner import Learner
from craftnet.forecast.model import CraftSample, ForecastModel, Kind, Phase
from craftnet.forecast.shared_learning import KEEP_INTERVAL, READ_INTERVAL, SharedLearning
from craftnet.forecast.state_file import SAVE_INTERVAL, StateFile, decode_state, encode_state, read_state
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.inspection import ISharedSamples, add_tap
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import IRON, NOW, PLAYER, RECIPE, event, start

FACTOR = 1.4
SAMPLES = [CraftSample(Phase.START, Kind(RECIPE), 60.0, 60.0 * FACTOR)] * 60


def taught() -> ForecastModel:
    model = ForecastModel()
    for sample in SAMPLES:
        model.learn(sample)
    return model


class Node:
    """A learner on a back end in memory."""

    def __init__(self, clock: SteppedClock) -> None:
        self.metrics = Metrics()
        self.backend = MemoryBackend(clock, MemorySettings())
        self.learner = Learner(self.backend.sessions, self.metrics.store)
        self.backend.sessions.time_crafts()
        add_tap(self.backend.sessions, self.learner.applied)

    def happen(self, *events: Event) -> None:
        self.backend.sessions.apply(events)

    def craft(self, number: int, end: EventData | None = None, seconds: float = 60.0 * FACTOR) -> None:
        """A craft of 60 s, as estimated, that ends after `seconds`."""
        session_id, now = UUID(int=number), NOW + number
        done = end or SessionComplete(session_id=session_id, result_item_id=IRON)
        self.happen(event(start(session_id, PLAYER), now), event(replace(done, session_id=session_id), now + seconds))

    def metric(self, name: str) -> dict[str, float]:
        """The values of a metric, by its labels."""
        text = self.metrics.render().decode()
        lines = [line.split(" ") for line in text.splitlines() if line.startswith(name)]
        return {key.removeprefix(name): float(value) for key, value in lines}


class LearnerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.node = Node(self.clock)

    def test_learns_from_completed_crafts(self) -> None:
        for number in range(1, 51):
            self.node.craft(number)
        self.assertEqual(self.node.learner.model.samples, 50)
        forecast = self.node.learner.model.forecast(Phase.START, Kind(RECIPE))
        assert forecast is not None
        self.assertApproximates(forecast.p50, FACTOR, 0.05)

    def test_learns_from_a_report_of_completion(self) -> None:
        done = SessionProgress(session_id=UUID(int=1), progress_percentage=100, status=Status.COMPLETED)
        self.node.craft(1, done)
        self.assertEqual(self.node.learner.model.samples, 1)

    def test_learns_nothing_from_others_or_twice(self) -> None:
        self.node.craft(1, SessionCancel(session_id=UUID(int=1), cancel_reason="zone_change"))
        self.assertEqual(self.node.learner.model.samples, 0)
        session_id = UUID(int=2)
        done = event(SessionComplete(session_id=session_id, result_item_id=IRON), NOW + 80)
        self.node.happen(event(start(session_id, PLAYER), NOW), done, done)
        self.assertEqual(self.node.learner.model.samples, 1)

    def test_metrics(self) -> None:
        for number in range(1, 51):
            self.node.craft(number)
        self.node.craft(60, seconds=60.0 * 100)
        self.assertEqual(
            self.node.metric("craftnet_learned_samples_total"),
            {'{outcome="learned"}': 50.0, '{outcome="refused"}': 1.0},
        )
        self.assertEqual(self.node.metric("craftnet_learned_keys"), {"": 4.0})
        self.assertEqual(
            self.node.metric("craftnet_learned_recipes"), {'{better="learned"}': 1.0, '{better="stated"}': 0.0}
        )
        errors = self.node.metric("craftnet_learned_error")
        self.assertLess(errors['{of="learned",phase="start"}'], errors['{of="stated",phase="start"}'])


class StateFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.path = Path(self.mktemp()).absolute() / "learned.json"
        self.path.parent.mkdir(parents=True)

    def file(
        self, model: ForecastModel, in_thread: Callable[[Callable[[], None]], Deferred[None]] | None = None
    ) -> StateFile:
        file = StateFile(self.path, model, self.clock, in_thread or maybeDeferred)
        file.startService()
        return file

    def read(self) -> ForecastModel:
        model, known = ForecastModel(), read_state(self.path, "--learn-progress")
        assert known is not None
        model.restore(known)
        return model

    def test_survives_a_restart(self) -> None:
        self.assertIsNone(read_state(self.path, "--learn-progress"))
        model = ForecastModel()
        file = self.file(model)
        for sample in SAMPLES:
            model.learn(sample)
        file.stopService()
        self.assertEqual(self.read().summary(), model.summary())
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.path.parent), [self.path.name])

    def test_is_written_at_intervals_when_something_was_learned(self) -> None:
        model = taught()
        file = self.file(model)
        self.addCleanup(file.stopService)
        self.clock.advance(SAVE_INTERVAL)
        self.assertFalse(self.path.exists())
        model.learn(SAMPLES[0])
        self.clock.advance(SAVE_INTERVAL)
        self.assertEqual(self.read().samples, len(SAMPLES) + 1)

    def test_a_failure_leaves_the_old_one_and_is_logged_once(self) -> None:
        self.path.write_bytes(encode_state(taught().summary()))
        model = taught()
        file = self.file(model, lambda write: fail(OSError(28, "No space left on device")))
        for _ in range(3):
            model.learn(SAMPLES[0])
            self.clock.advance(SAVE_INTERVAL)
        self.assertEqual(self.read().samples, len(SAMPLES))
        file.stopService()

    def test_what_is_damaged_is_refused(self) -> None:
        whole = encode_state(taught().summary())
        for octets, reason in (
            (whole[:-20], "it is damaged, or no state of learned progress"),
            (b"", "it is damaged, or no state of learned progress"),
            (b"\xff\xfe", "it is damaged, or no state of learned progress"),
            (b'{"format": "something else"}', "it is damaged, or no state of learned progress"),
            (whole.replace(b'"version":1', b'"version":2'), "it is of version 2, and this server reads version 1"),
        ):
            self.path.write_bytes(octets)
            error = self.assertRaises(ConfigurationError, read_state, self.path, "--learn-progress")
            self.assertIn(f"--learn-progress {self.path}: {reason}", str(error))
            self.assertIn("move it away to begin with nothing learned", str(error))

    def test_a_folder_that_is_missing_is_refused(self) -> None:
        path = self.path.parent / "none" / "learned.json"
        error = self.assertRaises(ConfigurationError, read_state, path, "--learn-progress")
        self.assertIn("does not exist or cannot be written", str(error))


@implementer(ISharedSamples)
class SampleStream:
    """The samples of all nodes, in memory."""

    def __init__(self) -> None:
        self.samples: list[bytes] = []
        self.learned: tuple[str, bytes | None] = ("0-0", None)
        self.away = False

    def add(self, samples: Sequence[bytes]) -> Deferred[None]:
        if self.away:
            return fail(Unavailable("away"))
        self.samples += samples
        return succeed(None)

    def read(self, after: str, limit: int) -> Deferred[tuple[str, Sequence[bytes]]]:
        if self.away:
            return fail(Unavailable("away"))
        begin = int(after.partition("-")[0])
        found = self.samples[begin : begin + limit]
        return succeed((f"{begin + len(found)}-0", found))

    def kept(self) -> Deferred[tuple[str, bytes | None]]:
        return fail(Unavailable("away")) if self.away else succeed(self.learned)

    def keep(self, position: str, learned: bytes) -> Deferred[None]:
        if int(position.partition("-")[0]) > int(self.learned[0].partition("-")[0]):
            self.learned = position, learned
        return succeed(None)


class SharedLearningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.stream = SampleStream()

    def node(self) -> tuple[Node, SharedLearning]:
        node = Node(self.clock)
        shared = SharedLearning(node.learner, self.stream, self.clock)
        shared.startService()
        self.addCleanup(shared.stopService)
        return node, shared

    def test_nodes_learn_alike_and_nothing_twice(self) -> None:
        (one, _), (other, _) = self.node(), self.node()
        for number in range(1, 21):
            (one if number % 2 else other).craft(number)
        self.assertEqual(one.learner.model.samples, 0)
        self.clock.advance(READ_INTERVAL)
        self.assertEqual(one.learner.model.samples, 20)
        self.assertEqual(one.learner.model.summary(), other.learner.model.summary())

    def test_a_node_that_starts_continues_with_what_is_kept(self) -> None:
        one, first = self.node()
        for number in range(1, 21):
            one.craft(number)
        self.clock.pump([READ_INTERVAL] * int(KEEP_INTERVAL / READ_INTERVAL + 1))
        self.assertEqual(decode_state(self.stream.learned[1] or b"").samples, 20)
        self.stream.samples[:5] = [b"trimmed"] * 5  # only what follows is needed.
        one.craft(21)
        first.stopService()
        other, _ = self.node()
        self.assertEqual(other.learner.model.samples, 21)

    def test_what_is_kept_and_damaged_is_learned_again(self) -> None:
        one, _ = self.node()
        one.craft(1)
        self.stream.learned = ("1-0", b"{}")
        other, _ = self.node()
        self.assertEqual(other.learner.model.samples, 1)

    def test_a_sample_that_is_none_is_skipped(self) -> None:
        self.stream.samples.append(b"[]")
        one, shared = self.node()
        one.craft(1)
        self.clock.advance(READ_INTERVAL)
        self.assertEqual((one.learner.model.samples, shared.position), (1, "2-0"))

    def test_survives_an_absence(self) -> None:
        self.stream.away = True
        one, _ = self.node()
        one.craft(1)  # lost: it may have arrived.
        self.clock.advance(READ_INTERVAL)
        self.stream.away = False
        one.craft(2)
        self.clock.advance(READ_INTERVAL)
        self.assertEqual(one.learner.model.samples, 1)
