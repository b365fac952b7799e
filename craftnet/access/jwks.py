"""JSON Web Key Sets that change while the service runs: a file that is read again, a URL that is fetched again.

Both answer from what they have, look again when a token names a key they have not heard of, and keep what they have
while looking again fails.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import OK, PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from craftnet.access.keys import IKeySource, VerificationKey, from_jwks, select
from craftnet.errors import ConfigurationError, Unavailable

FILE_INTERVAL = 5.0
"""Seconds between two looks at a file."""

FETCH_INTERVAL = 10.0
"""Seconds between two fetches: tokens that name invented keys cause no more than that."""

FETCH_TIMEOUT = 5.0
"""Seconds a fetch may take, from the connection to the last octet."""

LIFETIME = 300.0
"""Seconds that fetched keys are used without asking again; after that a withdrawn key no longer counts."""

MAX_DOCUMENT = 256 * 1024
"""Octets of a fetched set."""


def shown(url: str) -> str:
    """A URL for people: without its query, which may hold what they need not know."""
    return urlsplit(url)._replace(query="").geturl()


def _elapsed(since: float | None, now: float, interval: float) -> bool:
    """Whether an interval is over. A clock that was set back ends it too."""
    return since is None or not 0 <= now - since < interval


@implementer(IKeySource)
class JwksFile:
    """The keys in a file, read again when it has changed, or when a token names a key that is not in it.

    Raises:
        craftnet.errors.ConfigurationError: it cannot be read, or holds no usable key.
    """

    _log = Logger()

    def __init__(self, path: Path, clock: IReactorTime) -> None:
        self._path = path
        self._clock = clock
        self._looked: float = clock.seconds()
        self._seen, self._keys = self._read()

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        """See `IKeySource`."""
        now = self._clock.seconds()
        if _elapsed(self._looked, now, FILE_INTERVAL):
            self._looked = now
            self._look_again(known=select(self._keys, key_id, algorithm) is not None)
        return succeed(select(self._keys, key_id, algorithm))

    def _look_again(self, *, known: bool) -> None:
        try:
            if known and self._stamp() == self._seen:
                return
            self._seen, self._keys = self._read()
        except ConfigurationError as error:
            self._log.warn("Still using the keys that {path} held before: {error}", path=self._path, error=error)

    def _read(self) -> tuple[tuple[int, int, int], tuple[VerificationKey, ...]]:
        stamp = self._stamp()  # before the content: a change in between is then seen next time.
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"it cannot be read: {error.strerror}") from None
        return stamp, from_jwks(content)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"it cannot be read: {error.strerror}") from None
        return status.st_mtime_ns, status.st_size, status.st_ino


@implementer(IKeySource)
class JwksUrl:
    """The keys behind a URL: fetched when first needed, when they are old, and when a token names one not among them.

    Arguments:
        url: http or https, ASCII.
        agent: what fetches; it should follow no redirects.
    """

    _log = Logger()

    def __init__(self, url: str, agent: IAgent, clock: IReactorTime) -> None:
        self._url = url
        self._agent = agent
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._waiting: list[Deferred[None]] = []

    @inlineCallbacks
    def find(self, key_id: str | None, algorithm: str) -> Generator[Deferred[None], None, VerificationKey | None]:
        """See `IKeySource`. Lookups at the same time share one fetch."""
        key = select(self._keys, key_id, algorithm)
        if key is None or _elapsed(self._fetched, self._clock.seconds(), LIFETIME):
            yield self._refresh()
            key = select(self._keys, key_id, algorithm)
        if not self._keys:
            raise Unavailable("The keys that tokens are checked with cannot be had.", retry_after=int(FETCH_INTERVAL))
        return key

    def _refresh(self) -> Deferred[None]:
        """Fires, without a failure, when a fetch has ended; at once if it is too early for another one."""
        now = self._clock.seconds()
        if not self._waiting and not _elapsed(self._tried, now, FETCH_INTERVAL):
            return succeed(None)
        # Each lookup waits on a Deferred of its own, so that cancelling one leaves the others their fetch.
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._tried = now
            fetch = Deferred.fromCoroutine(self._fetch()).addTimeout(FETCH_TIMEOUT, self._clock)
            fetch.addErrback(self._failed).addCallback(self._release)
        return waiter

    async def _fetch(self) -> None:
        headers = Headers({"Accept": ["application/jwk-set+json, application/json"], "User-Agent": ["craftnet"]})
        response = await self._agent.request(b"GET", self._url.encode("ascii"), headers)
        document = await _read_body(response)
        if response.code != OK:
            raise Unavailable(f"the answer is {response.code}")
        self._keys = from_jwks(document)
        self._fetched = self._clock.seconds()

    def _failed(self, failure: Failure) -> None:
        self._log.warn(
            "The keys at {url} cannot be had; {consequence}. {kind}: {reason}",
            url=shown(self._url),
            consequence="those fetched before are still used" if self._keys else "no token can be checked",
            kind=failure.type.__name__ if failure.type else "",
            reason=failure.getErrorMessage(),
        )

    def _release(self, _: None) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)


def _read_body(response: IResponse) -> Deferred[bytes]:
    """The body, if it is no longer than `MAX_DOCUMENT`. Cancelling closes the connection."""
    body = _Body()
    response.deliverBody(body)
    return body.complete


class _Body(Protocol):
    def __init__(self) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self._drop())
        self._received = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.complete.called:
            return
        self._received += data
        if len(self._received) > MAX_DOCUMENT:
            self.complete.errback(Unavailable(f"the answer is longer than {MAX_DOCUMENT} octets"))
            self._drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.complete.called:
            return
        # PotentialDataLoss: an answer without a length ended with its connection. If it is cut, it is no JSON.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.complete.callback(bytes(self._received))
        else:
            self.complete.errback(reason)

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
