"""Health checks: whether providers answer, and how other services are.

A probe or check may raise anything and take any time; `craftnet.observe.health.report.monitor` turns that into a
report.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from treq.client import HTTPClient
from twisted.application.service import Service as ApplicationService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from craftnet.clocks import IClock
from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.observe.health.report import loop_check, report_from_answer
from craftnet.observe.metrics.registry import Metrics
from craftnet.observe.metrics.store import Distribution
from craftnet.runtime.http_client import fetch, request_url

LONGEST_REPORT = 65536
"""Bytes of another service's report that are read."""


class SourceCheck:
    """Checks whether a provider answers.

    Arguments:
        ask: any cheap request, such as a source's `count`.
    """

    def __init__(self, ask: Callable[[], Deferred[Any]]) -> None:
        self._ask = ask

    async def __call__(self) -> Check:
        """Runs the check; fails as the provider does."""
        await self._ask()
        return Check(status=HealthStatus.OK)


class SharedCheck:
    """Checks whether this node has all data that the nodes share. If not, the service is degraded, but continues.

    Arguments:
        name: the name of the shared data.
        complete: returns whether this node has all of it.
        problem: the consequence, for people.
        metrics: the metric that shows the same.
        begun: whether `complete` is meaningful yet.
    """

    def __init__(
        self,
        name: str,
        complete: Callable[[], bool],
        problem: str,
        metrics: Metrics,
        begun: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self._name = name
        self._complete = complete
        self._problem = problem
        self._metrics = metrics
        self._begun = begun

    async def __call__(self) -> Check:
        """Runs the check."""
        if self._begun is not None:
            with suppress(Unavailable):
                await self._begun()
        complete = self._complete()
        self._metrics.complete(self._name, complete)
        if complete:
            return Check(status=HealthStatus.OK)
        return Check(status=HealthStatus.DEGRADED, message=self._problem)


LOOP_INTERVAL = 0.5
"""Seconds between two looks at the event loop."""


class LoopCheck(ApplicationService):
    """Checks how late the event loop is, by a call that is due at an interval. It counts while it runs.

    Arguments:
        delays: counts each delay, in seconds.
    """

    def __init__(self, clock: IClock, delays: Distribution) -> None:
        self._clock = clock
        self._counted = delays
        self._delays: list[float] = []
        self._due = 0.0
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        """Starts to look."""
        super().startService()
        self._wait()

    def stopService(self) -> None:
        """Stops looking."""
        super().stopService()
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _wait(self) -> None:
        self._due = self._clock.seconds() + LOOP_INTERVAL
        self._next = self._clock.callLater(LOOP_INTERVAL, self._look)

    def _look(self) -> None:
        delay = max(0.0, self._clock.seconds() - self._due)
        self._delays.append(delay)
        self._counted.observe(delay)
        self._wait()

    async def __call__(self) -> Check:
        """Judges the delays since the last call."""
        delays, self._delays = self._delays, []
        return loop_check(delays)


class HttpProbe:
    """Asks another service for its health.

    Arguments:
        service: the service, which has the name of the option for its URL.
        url: its health route.

    Raises:
        ConfigurationError: the URL cannot be requested.
    """

    def __init__(self, service: Service, url: str, client: HTTPClient, clock: IClock) -> None:
        _check_url(f"--{service.value}", url)
        self._service = service
        self._url = url
        self._client = client
        self._clock = clock

    async def __call__(self) -> HealthResponse:
        """Runs the probe.

        Raises:
            craftnet.runtime.http_client.DocumentTooLong: the answer is too long for a report.
            Exception: raised by `treq` when there is no answer.
        """
        answer = await fetch(self._client, self._url, LONGEST_REPORT, {"Accept": "application/json"})
        return report_from_answer(self._service, answer.code, answer.body, self._clock.wall())


def _check_url(option: str, text: str) -> None:
    try:
        url = request_url(text)
    except ValueError:  # URLParseError is one.
        url = None
    if url is None or url.scheme.lower() not in ("http", "https") or not url.host:
        raise ConfigurationError(
            f"{option} {text}: expected a URL of http or https, such as http://127.0.0.1:9000/health"
        )
