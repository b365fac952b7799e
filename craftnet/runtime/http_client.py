"""HTTP requests to other services: small documents of bounded length, without redirects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse


class DocumentTooLong(Exception):
    """The document exceeds the caller's limit."""


class _RequestUrl(URL):
    """A URL that treq can request, IPv6 literals included: hyperlink encodes them as names."""

    def to_uri(self) -> URL:
        """The same in ASCII."""
        return self if ":" in self.host else super().to_uri()


def request_url(text: str) -> URL:
    """A URL in the form that treq takes.

    Raises:
        hyperlink.URLParseError: it is malformed.
    """
    return _RequestUrl.from_text(text)


class HttpAnswer(NamedTuple):
    """A service's answer. A redirect is an answer like any other, since it could lead anywhere."""

    code: int
    headers: Headers
    body: bytes


async def fetch(
    client: HTTPClient,
    url: str,
    limit: int,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> HttpAnswer:
    """Sends a request and reads the whole answer. Cancelling closes the connection.

    Arguments:
        client: decompresses gzipped answers.
        limit: maximum bytes of the decompressed body.

    Raises:
        DocumentTooLong: the body exceeds `limit`.
        Exception: as treq raises when there is no answer.
    """
    response = await client.request(
        method,
        request_url(url),
        headers=Headers({name: [value] for name, value in headers.items()}),
        data=body,
        allow_redirects=False,
        unbuffered=True,
    )
    return HttpAnswer(response.code, response.headers, await _bounded_body(response, limit))


def _bounded_body(response: IResponse, limit: int) -> Deferred[bytes]:
    body = _BoundedBody(limit)
    response.deliverBody(body)
    return body.complete


class _BoundedBody(Protocol):
    """Collects a body. treq's own collector leaves the connection open when it is cancelled."""

    def __init__(self, limit: int) -> None:
        self.complete: Deferred[bytes] = Deferred(lambda _: self._close())
        self._limit = limit
        self._received = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.complete.called:
            return
        self._received += data
        if len(self._received) > self._limit:
            self.complete.errback(DocumentTooLong(f"the answer is longer than {self._limit} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.complete.called:
            return
        # PotentialDataLoss: a body without a declared length ends with its connection. Truncated JSON is invalid.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.complete.callback(bytes(self._received))
        else:
            self.complete.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
