"""Posts notifications to a webhook, in batches, until it takes them."""

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
from craftnet.runtime.component_spec import parse_component_spec
from craftnet.runtime.deferreds import RestartedTask

SECRET_VARIABLE = "CRAFTNET_WEBHOOK_SECRET"
"""The environment variable with the secret that signs requests."""

MINIMUM_SECRET = 32
"""Bytes: the length of the hash."""

BATCH = 100
"""Notifications in one request."""

GATHERING = 1.0
"""Seconds that the first notification of a batch waits for others."""

WAITING = 10_000
"""Notifications that wait; then the oldest are dropped."""

TIMEOUT = 10.0
"""Seconds for an answer."""

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Bounds of the waits after failures, seconds: the bound doubles from one to the other."""

GIVE_UP_AFTER = 3600.0
"""Seconds for which a batch is tried. What happened longer ago is no news for a player."""

RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 that may pass."""


class WebhookSettings(Struct, frozen=True):
    """The webhook of `--notify`; its secret never shows."""

    url: str
    secret: bytes


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


def retry_delay(failures: int, draw: float) -> float:
    """Seconds until the next attempt: a random part of a bound that doubles (full jitter), `draw` from 0 to 1."""
    bound: float = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 10))
    return bound * draw


class Webhook(Service):
    """Sends what `add` takes.

    Arguments:
        client: sends the requests.
        draw: returns random numbers from 0 to 1.
    """

    _log = Logger()

    def __init__(
        self,
        settings: WebhookSettings,
        client: HTTPClient,
        clock: IClock,
        store: MetricStore,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._draw = draw
        self._waiting: deque[Notice] = deque(maxlen=WAITING)
        self._counts = store.numbers(families.NOTIFICATIONS)
        self._more: Deferred[None] | None = None
        self._failing = False
        self._sending = RestartedTask(self._send_on, "sending notifications", GATHERING, clock)

    def startService(self) -> None:
        """Begins to send."""
        super().startService()
        self._sending.start()

    def stopService(self) -> None:
        """Ends that. What waits is lost, and counted as dropped."""
        super().stopService()
        self._sending.stop()
        self._count("dropped", len(self._waiting))
        self._waiting.clear()

    def add(self, notice: Notice) -> None:
        """Sends a notification soon. When too many wait, the oldest one is dropped."""
        if len(self._waiting) == WAITING:
            self._count("dropped", 1)
        self._waiting.append(notice)
        if self._more is not None and not self._more.called:
            self._more.callback(None)

    @property
    def is_failing(self) -> bool:
        """Whether the newest attempt failed, and another will follow."""
        return self._failing

    async def _send_on(self) -> None:
        while self.running:
            if not self._waiting:
                self._more = Deferred()
                await self._more
            await deferLater(self._clock, GATHERING)
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            outcome = "dropped"
            try:
                outcome = await self._insist(encode(NoticeBatch(batch)))
            finally:
                self._count(outcome, len(batch))

    async def _insist(self, body: bytes) -> str:
        """Sends a body until it is taken, refused, or too old. Returns the outcome in one word."""
        began, failures = self._clock.seconds(), 0
        while True:
            problem, final = await self._attempt(body)
            if not problem:
                if self._failing:
                    self._log.info("the webhook takes notifications again")
                self._failing = False
                return "delivered"
            if final:
                self._log.error("the webhook refuses notifications: {problem}", problem=problem)
                return "refused"
            if not self._failing:
                self._log.warn("the webhook takes no notifications: {problem}; trying again", problem=problem)
            self._failing = True
            delay = retry_delay(failures, self._draw())
            if self._clock.seconds() + delay - began > GIVE_UP_AFTER:
                self._log.error("notifications are dropped: the webhook took none for an hour")
                return "dropped"
            failures += 1
            await deferLater(self._clock, delay)

    async def _attempt(self, body: bytes) -> tuple[str, bool]:
        """Posts once. Returns what went wrong, empty when nothing did, and whether trying again is pointless."""
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "User-Agent": f"craftnet/{__version__}",
            "Craftnet-Signature": signature(self._settings.secret, body, self._clock.wall()),
        }
        try:
            asked = self._client.post(
                self._settings.url, data=body, headers=headers, allow_redirects=False, timeout=TIMEOUT
            )
            response = await asked
            await response.content()
        except Exception as error:  # of many classes: the network's, TLS', HTTP's.
            if not self.running:  # it was cancelled, which the client says in many ways.
                raise CancelledError from None
            return str(error) or type(error).__name__, False
        if 200 <= response.code < 300:
            return "", False
        return f"it answered {response.code}", response.code < 500 and response.code not in RETRIED

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._counts[outcome,].value += number
