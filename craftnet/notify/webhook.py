"""Posts notifications to a webhook in batches, and repeats batches that it does not take."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from craftnet import __version__
from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.notify.notices import Notice, NoticeBatch, encode, signature
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.runtime.addresses import is_loopback
from craftnet.runtime.backoff import Backoff
from craftnet.runtime.component_spec import parse_component_spec
from craftnet.runtime.deferreds import RestartedTask

SECRET_VARIABLE = "CRAFTNET_WEBHOOK_SECRET"
"""The environment variable that contains the secret, which signs requests."""

MINIMUM_SECRET = 32
"""Minimum length of the secret in bytes: the length of the hash."""

NOTICES_PER_REQUEST = 100
"""Maximum number of notifications in one request."""

GATHERING = 1.0
"""Seconds that the first notification of a batch waits for others."""

MAX_WAITING = 10_000
"""Maximum number of waiting notifications; beyond it, the oldest are dropped."""

ANSWER_TIMEOUT = 10.0
"""Seconds that the webhook has to answer."""

FIRST_BACKOFF, MAX_BACKOFF = 1.0, 60.0
"""Seconds of the longest delay before the second attempt, and before any."""

GIVE_UP_AFTER = 3600.0
"""Seconds after which a batch is dropped: players have no use for older notifications."""

RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 of temporary failures."""


class WebhookSettings(Struct, frozen=True):
    """The webhook of `--notify`; its repr omits the secret."""

    url: str
    secret: bytes

    __repr__ = object.__repr__


def webhook_settings(text: str, environ: Mapping[str, str]) -> WebhookSettings:
    """The settings in `--notify`.

    Raises:
        ConfigurationError: the text or the environment is invalid.
    """
    spec = parse_component_spec(text)
    if spec.name != "webhook" or set(spec.arguments) != {"url"}:
        raise ConfigurationError("--notify takes webhook:url=https://HOST/PATH")
    url = spec.arguments["url"]
    parts = urlsplit(url)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise ConfigurationError("--notify: the URL must be https://…, or http://… on a loopback address")
    secret = environ.get(SECRET_VARIABLE, "").encode("utf-8", "surrogateescape")
    if len(secret) < MINIMUM_SECRET:
        raise ConfigurationError(
            f"--notify needs a secret of at least {MINIMUM_SECRET} bytes in {SECRET_VARIABLE}, which signs the requests"
        )
    return WebhookSettings(url, secret)


class NotDelivered(Exception):
    """The webhook did not take a batch, which is posted again."""


class _Batch:
    """Notifications that are posted together, until the webhook takes or refuses them, or they are too old."""

    def __init__(self, notices: list[Notice], began: float, backoff: Backoff) -> None:
        self.body = encode(NoticeBatch(notices))
        self.size = len(notices)
        self.began = began
        self.backoff = backoff


class Webhook(Service):
    """Posts notifications in batches.

    Arguments:
        client: sends the requests.
        uniform: draws from [low, high] for the delays after failures.
    """

    _log = Logger()

    def __init__(
        self,
        settings: WebhookSettings,
        client: HTTPClient,
        clock: IClock,
        store: MetricStore,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._uniform = uniform
        self._waiting: deque[Notice] = deque(maxlen=MAX_WAITING)
        self._counts = store.numbers(families.NOTIFICATIONS)
        self._more: Deferred[None] | None = None
        self._batch: _Batch | None = None
        self._delay = 0.0
        self._failing = False
        self._sending = RestartedTask(
            self._send, "sending notifications", lambda: self._delay, clock, expected=(NotDelivered,)
        )

    def startService(self) -> None:
        """Begins to send."""
        super().startService()
        self._sending.start()

    def stopService(self) -> None:
        """Stops sending. Waiting notifications are lost, and counted as dropped."""
        super().stopService()
        self._sending.stop()
        self._count("dropped", len(self._waiting))
        self._waiting.clear()
        self._settle("dropped")

    def add(self, notice: Notice) -> None:
        """Sends a notification soon. When too many wait, the oldest one is dropped."""
        if len(self._waiting) == MAX_WAITING:
            self._count("dropped", 1)
        self._waiting.append(notice)
        if self._more is not None and not self._more.called:
            self._more.callback(None)

    @property
    def is_failing(self) -> bool:
        """Whether the newest attempt failed, and another will follow."""
        return self._failing

    async def _send(self) -> None:
        """Posts the next batch, or the present one again.

        Raises:
            NotDelivered: the batch is posted again after `_delay` seconds.
        """
        self._delay = GATHERING  # if this fails unexpectedly.
        batch = self._batch = self._batch or await self._gather()
        problem, final = await self._attempt(batch.body)
        self._delay = 0.0
        if final:
            self._log.error("the webhook refuses notifications: {problem}", problem=problem)
            self._settle("refused")
        elif problem:
            self._schedule_retry(batch, problem)
        else:
            if self._failing:
                self._log.info("the webhook takes notifications again")
            self._failing = False
            self._settle("delivered")

    async def _gather(self) -> _Batch:
        """Waits for notifications, and takes up to `NOTICES_PER_REQUEST` of them."""
        if not self._waiting:
            self._more = Deferred()
            await self._more
        await deferLater(self._clock, GATHERING)
        notices = [self._waiting.popleft() for _ in range(min(NOTICES_PER_REQUEST, len(self._waiting)))]
        backoff = Backoff(first=FIRST_BACKOFF, cap=MAX_BACKOFF, uniform=self._uniform)
        return _Batch(notices, self._clock.seconds(), backoff)

    def _schedule_retry(self, batch: _Batch, problem: str) -> None:
        """Drops the batch if it is too old for another attempt.

        Raises:
            NotDelivered: there will be another attempt.
        """
        if not self._failing:
            self._log.warn("the webhook takes no notifications: {problem}; trying again", problem=problem)
        self._failing = True
        now = self._clock.seconds()
        delay = batch.backoff.delay(now)
        if now + delay - batch.began <= GIVE_UP_AFTER:
            self._delay = delay
            raise NotDelivered(problem)
        self._log.error("notifications are dropped: the webhook took none for an hour")
        self._settle("dropped")

    def _settle(self, outcome: str) -> None:
        """Counts the present batch, and forgets it."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._count(outcome, batch.size)

    async def _attempt(self, body: bytes) -> tuple[str, bool]:
        """Posts once. Returns the problem, empty if there was none, and whether another attempt is pointless."""
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "User-Agent": f"craftnet/{__version__}",
            "Craftnet-Signature": signature(self._settings.secret, body, self._clock.wall()),
        }
        try:
            asked = self._client.post(
                self._settings.url, data=body, headers=headers, allow_redirects=False, timeout=ANSWER_TIMEOUT
            )
            response = await asked
            await response.content()
        except Exception as error:  # of many classes: the network's, TLS', HTTP's.
            if not self.running:  # cancelled, which the client reports in many ways.
                raise CancelledError from None
            return str(error) or type(error).__name__, False
        if 200 <= response.code < 300:
            return "", False
        return f"it answered {response.code}", response.code < 500 and response.code not in RETRIED

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._counts[outcome,].value += number
