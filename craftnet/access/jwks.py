"""JSON Web Key Sets that change while the service runs: a file that is reloaded, a URL that is fetched again.

Both answer from the present keys, reload when a token names an unknown key, and keep the present keys while reloading
fails.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import ceil
from pathlib import Path
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import OK
from zope.interface import implementer

from craftnet.access.verification_keys import IKeySource, VerificationKey, keys_from_jwks, select_key
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.runtime.deferreds import Waiters
from craftnet.runtime.http_client import fetch

FILE_INTERVAL = 5.0
"""Seconds between two checks of a file."""

FETCH_INTERVAL = 10.0
"""Minimum seconds between two fetches, also when tokens name invented keys."""

FETCH_TIMEOUT = 5.0
"""Seconds for a fetch, from the connection to the last octet."""

REFRESH_AFTER = 300.0
"""Age in seconds from which a lookup fetches the set again, in the background, and still uses the present keys."""

MAX_STALENESS = 900.0
"""Age in seconds from which a lookup waits for that fetch, so that a withdrawn key does not count after a quiet time.
While fetches fail, no lookup of a known key waits."""

MAX_DOCUMENT = 256 * 1024
"""Maximum bytes of a fetched set, decompressed."""


def without_query(url: str) -> str:
    """A URL for people: without its query, which may contain secrets."""
    return urlsplit(url)._replace(query="").geturl()


def _elapsed(since: float | None, now: float, interval: float) -> bool:
    """Whether an interval has passed."""
    return since is None or now - since >= interval


@implementer(IKeySource)
class JwksFile:
    """The keys in a file, reloaded when it has changed, or when a token names an unknown key.

    Arguments:
        unnamed: see `craftnet.access.verification_keys.select_key`.

    Raises:
        craftnet.errors.ConfigurationError: it cannot be read, or contains no usable key.
    """

    _log = Logger()

    def __init__(self, path: Path, clock: IReactorTime, *, unnamed: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._unnamed = unnamed
        self._looked: float = clock.seconds()
        self._problem = ""
        self._seen, self._keys = self._read()

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        """See `IKeySource`."""
        key, now = self._select(key_id, algorithm), self._clock.seconds()
        due = _elapsed(self._looked, now, FILE_INTERVAL)
        if due or key is None:
            self._looked = now
            self._look_again(reread=due and key is None)
            key = self._select(key_id, algorithm)
        return succeed(key)

    def reload(self) -> bool:
        """See `IKeySource`."""
        before = self._keys
        try:
            self._seen, self._keys = self._read()
        except ConfigurationError as error:
            raise ConfigurationError(f"--auth names {self._path}, but {error}") from None
        self._problem = ""
        return self._keys != before

    def known(self) -> Sequence[VerificationKey]:
        """See `IKeySource`."""
        return self._keys

    def problem(self) -> str:
        """See `IKeySource`; looks whether the file has changed."""
        self._look_again(reread=False)
        return self._problem

    def _select(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        return select_key(self._keys, key_id, algorithm, unnamed=self._unnamed)

    def _look_again(self, *, reread: bool) -> None:
        """Reloads the file if it has changed, or in any case."""
        try:
            if not reread and self._stamp() == self._seen:
                return
            self._seen, self._keys = self._read()
            self._problem = ""
        except ConfigurationError as error:
            self._problem = f"the key set {self._path} is not usable, and the previous keys are still used: {error}"
            self._log.warn("Still using the previous keys of {path}: {error}", path=self._path, error=error)

    def _read(self) -> tuple[tuple[int, int, int], tuple[VerificationKey, ...]]:
        stamp = self._stamp()  # before the content: the next check then sees a change in between.
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise _unreadable(error) from None
        return stamp, keys_from_jwks(content)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise _unreadable(error) from None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _unreadable(error: OSError) -> ConfigurationError:
    return ConfigurationError(f"it cannot be read: {error.strerror}")


@implementer(IKeySource)
class JwksUrl:
    """The keys at a URL: fetched when first needed, when they are old, and when a token names an unknown key.

    Arguments:
        url: http or https, ASCII.
        client: sends the requests, and follows no redirects.
        unnamed: see `craftnet.access.verification_keys.select_key`.
    """

    _log = Logger()

    def __init__(self, url: str, client: HTTPClient, clock: IReactorTime, *, unnamed: bool = False) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._unnamed = unnamed
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._failing = False
        self._reason = ""
        self._fetching = False
        self._fetched_next: Waiters[None] = Waiters()

    @inlineCallbacks
    def find(self, key_id: str | None, algorithm: str) -> Generator[Deferred[None], None, VerificationKey | None]:
        """See `IKeySource`. Concurrent lookups share one fetch."""
        key = self._select(key_id, algorithm)
        pause = self._wait_before_fetch()
        if key is not None and (self._failing or not self._is_older_than(MAX_STALENESS)):
            if self._is_older_than(REFRESH_AFTER) and pause == 0.0:
                self._start_fetch()
            return key
        if pause == 0.0:
            yield self._next_fetch()
            key, pause = self._select(key_id, algorithm), FETCH_INTERVAL
            if not self._failing:
                return key
        if key is None:
            # The key may have been published since the last successful fetch: no final answer before the next one.
            raise Unavailable(
                "The key that this token is signed with is not known yet."
                if self._keys
                else "The keys that verify tokens cannot be fetched.",
                retry_after=ceil(pause),
            )
        return key

    def reload(self) -> bool:
        """See `IKeySource`."""
        self._start_fetch()
        return False

    def known(self) -> Sequence[VerificationKey]:
        """See `IKeySource`."""
        return self._keys

    def problem(self) -> str:
        """See `IKeySource`; starts a fetch when one is due, and waits for nothing."""
        if self._is_older_than(REFRESH_AFTER) and self._wait_before_fetch() == 0.0:
            self._start_fetch()
        if not self._failing or (self._keys and not self._is_older_than(MAX_STALENESS)):
            return ""
        age = "" if self._fetched is None else f" for {(self._clock.seconds() - self._fetched) / 60:.0f} minutes"
        return f"the keys at {without_query(self._url)} could not be fetched{age}; {self._consequence}: {self._reason}"

    @property
    def _consequence(self) -> str:
        return "those fetched before are still used" if self._keys else "no token can be checked"

    def _select(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        return select_key(self._keys, key_id, algorithm, unnamed=self._unnamed)

    def _is_older_than(self, age: float) -> bool:
        return _elapsed(self._fetched, self._clock.seconds(), age)

    def _wait_before_fetch(self) -> float:
        """Seconds until a fetch may start; 0 when one may start now, or is running."""
        now = self._clock.seconds()
        if self._fetching or self._tried is None or _elapsed(self._tried, now, FETCH_INTERVAL):
            return 0.0
        return self._tried + FETCH_INTERVAL - now

    def _next_fetch(self) -> Deferred[None]:
        """Fires, without a failure, when the running fetch, or one that starts now, has ended."""
        waiter = self._fetched_next.wait()
        self._start_fetch()
        return waiter

    def _start_fetch(self) -> None:
        """Starts a fetch, unless one is running."""
        if not self._fetching:
            self._fetching = True
            self._tried = self._clock.seconds()
            fetching = Deferred.fromCoroutine(self._fetch()).addTimeout(FETCH_TIMEOUT, self._clock)
            fetching.addErrback(self._failed).addCallback(self._release)

    async def _fetch(self) -> None:
        headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "craftnet"}
        answer = await fetch(self._client, self._url, MAX_DOCUMENT, headers)
        if answer.code != OK:
            raise Unavailable(f"the answer is {answer.code}")
        self._keys = keys_from_jwks(answer.body)
        self._fetched = self._clock.seconds()
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        self._failing = True
        kind = failure.type.__name__ if failure.type else ""
        self._reason = f"{kind}: {failure.getErrorMessage()}"
        self._log.warn(
            "The keys at {url} cannot be fetched; {consequence}. {reason}",
            url=without_query(self._url),
            consequence=self._consequence,
            reason=self._reason,
        )

    def _release(self, _: None) -> None:
        self._fetching = False
        self._fetched_next.release(None)
