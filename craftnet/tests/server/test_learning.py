"""--learn-progress, as a service is built with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import SessionComplete
from craftnet.errors import ConfigurationError
from craftnet.forecast.learner import Learner
from craftnet.forecast.model import CraftSample, ForecastModel, Kind, Phase
from craftnet.forecast.state_file import encode_state
from craftnet.server.build.base import build_base
from craftnet.server.build.learning import Learning, build_learning
from craftnet.server.reload import Reloader
from craftnet.server.settings import Settings
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.samples import IRON, NOW, RECIPE, SESSION, event, start

SAMPLE = CraftSample(Phase.START, Kind(RECIPE), 60.0, 90.0)


class LearningTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.path = folder / "learned.json"

    def learning(self, learn: str | None, **options: Any) -> Learning:
        """What a service with these options learns with."""
        settings = Settings(http="tcp:0", learn_progress=learn, **options)
        self.base = build_base(settings, SteppedReactor(NOW), Reloader(settings, lambda: settings))
        return build_learning(self.base)

    def learner(self, learn: str, **options: Any) -> Learner:
        learner = self.learning(learn, **options).forecaster
        assert isinstance(learner, Learner)
        return learner

    def refused(self, learn: str, **options: Any) -> str:
        return str(self.assertRaises(ConfigurationError, self.learning, learn, **options))

    def test_off_by_default(self) -> None:
        self.assertEqual(self.learning(None), Learning())
        self.base.state.sources.sessions.apply([event(start(), NOW)])
        state = self.successResultOf(self.base.state.sources.sessions.get(SESSION))
        assert state is not None
        self.assertIs(state.timing, UNSET)

    def test_learns_from_the_sessions_of_the_back_end(self) -> None:
        learner = self.learner(str(self.path))
        done = SessionComplete(session_id=SESSION, result_item_id=IRON)
        self.base.state.sources.sessions.apply([event(start(), NOW), event(done, NOW + 90)])
        self.assertEqual(learner.model.samples, 1)

    def test_knows_what_the_file_says(self) -> None:
        model = ForecastModel()
        model.learn(SAMPLE)
        self.path.write_bytes(encode_state(model.summary()))
        self.assertEqual(self.learner(str(self.path)).model.summary(), model.summary())
        self.path.write_bytes(b'{"format": "craftnet learned progress"')
        self.assertIn("it is damaged", self.refused(str(self.path)))

    def test_workers_have_a_file_each(self) -> None:
        self.path.with_name("learned-w2.json").write_bytes(b"damaged")
        self.assertIn("learned-w2.json: it is damaged", self.refused(str(self.path), worker=2))
        self.assertIsNotNone(self.learning(str(self.path), worker=1).forecaster)

    def test_nodes_that_share_a_back_end_share_what_they_learn(self) -> None:
        learner = self.learner("shared", backend="redis:port=1")
        self.assertNotEqual(learner.take, learner.learn)
        self.assertIn("use `shared`", self.refused(str(self.path), backend="redis:port=1"))
        self.assertIn("needs --backend redis", self.refused("shared"))

    def test_an_edge_passes_on_what_its_core_has_learned(self) -> None:
        token = self.path.with_name("token")
        token.write_text("a.b.c")
        edge = f"upstream:url=http\\://127.0.0.1\\:1:token_file={token}"
        self.assertEqual(self.learning(None, backend=edge), Learning())
        learning = self.learning("shared", backend=edge)
        self.assertEqual((learning.forecaster, learning.services), (self.base.state.sources.sessions, ()))
        refused = self.refused(str(self.path), backend=edge)
        self.assertIn("an edge learns nothing and keeps no file; use `shared`", refused)
        self.assertIn("give --learn-progress to the core", refused)
