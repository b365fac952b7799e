"""Asking: providers whether they answer, other services how they are.

A probe or check may raise anything and take any time; `craftnet.observe.monitor` makes a report of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers

from craftnet.messages import Check, HealthResponse, HealthStatus, Service
from craftnet.observe.health import answered

LONGEST_REPORT = 65536
"""Bytes of another service's report that are read."""


class ReportTooLong(Exception):
    """Another service's report is longer than `LONGEST_REPORT`."""


class ProviderCheck:
    """Whether a provider answers.

    Arguments:
        ask: any cheap question, such as a source's `count`.
    """

    def __init__(self, ask: Callable[[], Deferred[Any]]) -> None:
        self._ask = ask

    async def __call__(self) -> Check:
        """Ask; fails as the provider does."""
        await self._ask()
        return Check(status=HealthStatus.OK)


class HttpProbe:
    """How another service is, by its own account.

    Arguments:
        url: where it tells.
    """

    def __init__(self, service: Service, url: str, client: HTTPClient, clock: IReactorTime) -> None:
        self._service = service
        self._url = url
        self._client = client
        self._clock = clock

    async def __call__(self) -> HealthResponse:
        """Ask.

        Raises:
            ReportTooLong: what it says is no report of ours.
            Exception: what `treq` raises when there is no answer.
        """
        body = bytearray()

        def collect(data: bytes) -> None:
            if len(body) + len(data) > LONGEST_REPORT:
                raise ReportTooLong
            body.extend(data)

        response = await self._client.get(
            self._url, headers=Headers({"Accept": ["application/json"]}), allow_redirects=False, unbuffered=True
        )
        await response.collect(collect)
        return answered(self._service, response.code, bytes(body), self._clock.seconds())
