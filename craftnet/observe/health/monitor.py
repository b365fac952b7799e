"""Runs all health checks at an interval and keeps the newest reports, so that requests need not wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace
from twisted.application.service import Service as ApplicationService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from craftnet.clocks import IClock
from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service
from craftnet.errors import CraftnetError
from craftnet.observe.health.report import (
    Reports,
    Unready,
    as_check,
    own_report,
    starting_report,
    unconfigured_report,
    unreachable_report,
    unready,
)

AsyncCheck = Callable[[], Coroutine[Any, Any, Check]]
AsyncProbe = Callable[[], Coroutine[Any, Any, HealthResponse]]
Listener = Callable[[Reports, Reports], None]
Answer = TypeVar("Answer")

HEALTH_INTERVAL = 10.0
"""Seconds between two rounds."""

OTHERS = tuple(service for service in Service if service is not Service.CRAFTING_NETWORK)
"""The services that are probed."""


class Monitor(ApplicationService):
    """The newest report of every service.

    Arguments:
        checks: of this service, by name; one that raises is critical.
        probes: of the other services; one that is missing is reported as not configured.
        version: the version of this service.
        interval: seconds from round to round.
        timeout: seconds after which a check counts as failed.

    Attributes:
        reports: the newest ones.
        draining: whether the process is stopping; set by its owner.
    """

    _log = Logger()

    def __init__(
        self,
        checks: Mapping[str, AsyncCheck],
        probes: Mapping[Service, AsyncProbe],
        clock: IClock,
        *,
        version: str,
        interval: float = HEALTH_INTERVAL,
        timeout: float = 5.0,
    ) -> None:
        self._checks = dict(checks)
        self._probes = probes
        self._clock = clock
        self._version = version
        self._interval = interval
        self._timeout = timeout
        self._started = clock.seconds()
        self._listeners: list[Listener] = []
        self._rounds = LoopingCall(self._start_round)
        self._rounds.clock = clock
        self._round: Deferred[None] | None = None
        self._checked = False
        self.draining = False
        self.reports: Reports = {service: starting_report(service, clock.wall()) for service in Service}

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with the reports before and after every round."""
        self._listeners.append(listener)

    def add(self, checks: Mapping[str, AsyncCheck]) -> None:
        """Adds checks of this service, by name, from the next round on."""
        self._checks.update(checks)

    @property
    def unready(self) -> Unready | None:
        """The reason why this process should receive no requests; None when it is ready."""
        return unready(self.reports[Service.CRAFTING_NETWORK], checked=self._checked, draining=self.draining)

    def startService(self) -> None:
        """Starts the first round at once."""
        super().startService()
        self._rounds.start(self._interval)

    def stopService(self) -> None:
        """Stops; cancels the current round."""
        super().stopService()
        self._rounds.stop()
        if self._round is not None:
            self._round.cancel()

    def _start_round(self) -> Deferred[None]:
        self._round = Deferred.fromCoroutine(self._ask_all())
        # An error here is a bug; the rounds must go on.
        return self._round.addErrback(lambda failure: self._log.failure("a round of health checks failed", failure))

    async def _ask_all(self) -> None:
        names = tuple(self._checks)
        asked = gatherResults([Deferred.fromCoroutine(self._check(self._checks[name])) for name in names])
        probed = gatherResults([Deferred.fromCoroutine(self._probe(service)) for service in OTHERS])
        checks = dict(zip(names, await asked, strict=True))
        after: dict[Service, HealthResponse] = {}
        for service, (report, duration) in zip(OTHERS, await probed, strict=True):
            after[service] = report
            checks[service.value] = as_check(report, duration)
        if not self.running:
            return  # a cancelled check says nothing about health.
        uptime, now = self._clock.seconds() - self._started, self._clock.wall()
        after[Service.CRAFTING_NETWORK] = own_report(checks, version=self._version, uptime=uptime, now=now)
        before, self.reports, self._checked = self.reports, after, True
        for listener in self._listeners:
            listener(before, after)

    async def _check(self, check: AsyncCheck) -> Check:
        try:
            answer, duration = await self._timed(check)
        except Exception as error:
            return Check(status=HealthStatus.CRITICAL, message=f"does not answer ({_problem(error)})")
        return replace(answer, response_time=duration)

    async def _probe(self, service: Service) -> tuple[HealthResponse, int | None]:
        probe = self._probes.get(service)
        if probe is None:
            return unconfigured_report(service, self._clock.wall()), None
        try:
            return await self._timed(probe)
        except Exception as error:
            return unreachable_report(service, _problem(error), self._clock.wall()), None

    async def _timed(self, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> tuple[Answer, int]:
        """The answer, and its duration in milliseconds."""
        started = self._clock.seconds()
        answer = await Deferred.fromCoroutine(ask()).addTimeout(self._timeout, self._clock)
        return answer, int((self._clock.seconds() - started) * 1000)


def _problem(error: Exception) -> str:
    """The public description of an error: the text of craftnet's own errors, only the type of others."""
    return str(error) if isinstance(error, CraftnetError) else type(error).__name__
