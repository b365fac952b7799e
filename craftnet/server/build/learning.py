"""Builds what learns how long crafts really take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from craftnet.errors import ConfigurationError
from craftnet.feeds.forecast_feed import Forecaster
from craftnet.forecast.learner import Learner
from craftnet.forecast.shared_learning import SharedLearning
from craftnet.forecast.state_file import StateFile, read_state
from craftnet.providers.inspection import IEventTap, IForecastingSessions, ISharedSamples, ITimedSessions, add_tap
from craftnet.server.build.base import Base

SHARED = "shared"
"""The value of --learn-progress with which nodes share what they learn, and edges pass on what their core learned."""


class Learning(Struct, frozen=True):
    """What forecasts crafts.

    Attributes:
        forecaster: None without --learn-progress.
        services: keep what is learned.
    """

    forecaster: Forecaster | None = None
    services: tuple[IService, ...] = ()


def build_learning(base: Base) -> Learning:
    """Learns from the crafts that end, with --learn-progress.

    Raises:
        ConfigurationError: the back end cannot time crafts or share samples, or the file cannot be used.
    """
    wanted, sessions = base.settings.learn_progress, base.state.sources.sessions
    if wanted is None:
        return Learning()
    if IForecastingSessions.providedBy(sessions):
        if wanted != SHARED:
            raise ConfigurationError(
                f"--learn-progress {wanted}: an edge learns nothing and keeps no file; use `{SHARED}` to pass on what "
                "its core has learned, and give --learn-progress to the core"
            )
        sessions.forecast_sessions()
        return Learning(sessions)
    if not (ITimedSessions.providedBy(sessions) and IEventTap.providedBy(sessions)):
        raise ConfigurationError(
            "--learn-progress needs a back end that times crafts, such as memory, workshop or redis; "
            f"{(base.settings.sessions or base.settings.backend).partition(':')[0]} does not"
        )
    shared = getattr(base.state.backend, "samples", None)
    if not ISharedSamples.providedBy(shared) or sessions is not base.state.backend.sessions:
        shared = None
    if (wanted == SHARED) is (shared is None):
        raise ConfigurationError(
            f"--learn-progress {wanted}: the nodes of this back end share what they learn; use `{SHARED}`"
            if shared is not None
            else f"--learn-progress {SHARED} needs --backend redis; name a file that keeps what is learned"
        )
    learner = Learner(sessions, base.metrics.store)
    sessions.time_crafts()
    add_tap(sessions, learner.applied)
    if shared is not None:
        return Learning(learner, (SharedLearning(learner, shared, base.reactor),))
    path = Path(wanted).absolute()
    if base.settings.worker is not None:
        path = path.with_name(f"{path.stem}-w{base.settings.worker}{path.suffix}")
    known = read_state(path, "--learn-progress")
    if known is not None:
        learner.model.restore(known)
    return Learning(learner, (StateFile(path, learner.model, base.reactor, _in_thread),))


def _in_thread(function: Callable[[], None]) -> Deferred[None]:
    return deferToThread(function)
