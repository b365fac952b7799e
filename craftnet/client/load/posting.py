"""The HTTP connection of one process of a load run: one request at a time, over plain sockets."""

from __future__ import annotations

import http.client
import json
import select
import time
from collections.abc import Callable, Sequence
from math import inf
from selectors import EVENT_READ, BaseSelector
from urllib.parse import urlsplit

from craftnet import __version__
from craftnet.errors import CraftnetError

REQUEST_TIMEOUT = 10.0
"""Seconds to send a request, and to receive its answer."""

Then = Callable[[bytes, float], None]
"""Called with the body of a successful answer and its duration in seconds."""


class LoadFailed(CraftnetError):
    """The run cannot continue. The text gives the user the reason."""


class Poster:
    """Posts bodies to the server.

    Arguments:
        selector: reports the answer, by calling the data that is registered with the socket.
        url: any of the server's.
        token: the bearer token.

    Attributes:
        idle_since: when the last answer was read, Unix seconds; infinite during a request.
    """

    def __init__(self, selector: BaseSelector, url: str, token: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_TIMEOUT)
        self._selector = selector
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": f"craftnet/{__version__} load"}
        self._began = 0.0
        self._what = ""
        self._then: Then | None = None
        self.idle_since = 0.0

    @property
    def idle(self) -> bool:
        """Whether no request is pending."""
        return self._then is None

    def post(self, url: str, body: bytes, kind: str, then: Then) -> None:
        """Sends a body; the selector's loop calls `then`. Only while `idle`.

        Raises:
            LoadFailed: the server is unreachable.
        """
        self._began, self._what, self._then, self.idle_since = time.time(), urlsplit(url).path, then, inf
        if self._hung_up():
            self._connection.close()  # the next request opens it again.
        try:
            self._connection.request("POST", self._what, body, {**self._headers, "Content-Type": kind})
        except OSError as error:
            raise LoadFailed(f"cannot post to {self._what}: {error}") from error
        self._selector.register(self._connection.sock, EVENT_READ, (self._answered, None))

    def post_events(self, url: str, events: Sequence[bytes], then: Then) -> None:
        """Posts these events, each one JSON, in one body; otherwise as `post`."""
        self.post(url, b"\n".join(events), "application/x-ndjson", then)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _hung_up(self) -> bool:
        """Whether the server closed the idle connection, as after its idle time-out."""
        if self._connection.sock is None:
            return False
        poller = select.poll()
        poller.register(self._connection.sock, select.POLLIN)
        return bool(poller.poll(0))

    def _answered(self, _: object) -> None:
        then, self._then = self._then, None
        assert then is not None
        self._selector.unregister(self._connection.sock)
        try:
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LoadFailed(f"the server did not answer a request to {self._what}: {error}") from error
        self.idle_since = time.time()
        if response.status >= 300:
            raise LoadFailed(f"{self._what} was refused with {response.status}: {reason(body)}")
        then(body, self.idle_since - self._began)


def reason(body: bytes) -> str:
    """The reason in the body of a refusal, for people."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:100].decode(errors="replace")
