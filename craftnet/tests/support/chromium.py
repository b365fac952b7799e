"""A real browser, driven over the Chrome DevTools Protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from websockets.sync.client import ClientConnection, connect

from craftnet.tests.support.programs import TIME_LIMIT, program

QUIET: Sequence[str] = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Else a page of an invented site waits for a user who allows it to connect to this machine.
    "--disable-features=LocalNetworkAccessChecks",
)
"""Options without which a browser talks to its maker, or to a user."""


class Page:
    """A page of a browser that runs.

    Arguments:
        connection: to the browser's page.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._document = b""
        self.command("Page.enable")
        self.command("Runtime.enable")

    def invent(self, document: str) -> None:
        """Serves this document, HTML, at every http and https URL, without any request.

        WebSockets reach their real servers.
        """
        self._document = document.encode()
        self.command("Fetch.enable", patterns=[{"urlPattern": "http*"}])

    def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command of the protocol; answers its result.

        Raises:
            AssertionError: the browser refuses it.
        """
        number = self._send(method, **parameters)
        while (message := self._receive()).get("id") != number:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there.

        Raises:
            AssertionError: it cannot be loaded.
        """
        answer = self.command("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript on the page; promises are awaited.

        Raises:
            AssertionError: it throws.
        """
        answer = self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _send(self, method: str, **parameters: object) -> int:
        number = next(self._numbers)
        self._connection.send(msgspec.json.encode({"id": number, "method": method, "params": parameters}).decode())
        return number

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.json.decode(self._connection.recv(timeout=TIME_LIMIT))
        if message.get("method") == "Fetch.requestPaused":
            self._send(
                "Fetch.fulfillRequest",
                requestId=message["params"]["requestId"],
                responseCode=200,
                responseHeaders=[{"name": "Content-Type", "value": "text/html; charset=utf-8"}],
                body=base64.b64encode(self._document).decode(),
            )
        return message


@contextlib.contextmanager
def browser(*options: str) -> Iterator[Page]:
    """A browser with one empty page.

    Raises:
        SkipTest: Chromium is not installed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [program("chromium"), *QUIET, f"--user-data-dir={folder}", "--remote-debugging-port=0", *options]
        with subprocess.Popen([*command, "about:blank"], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                yield from _pages(process.stderr)
            finally:
                process.terminate()


def _pages(said: Iterator[str]) -> Iterator[Page]:
    """The page of a browser that says where it listens for commands."""
    found = next((match for line in said if (match := re.search(r"DevTools listening on (ws://\S+)", line))), None)
    assert found is not None, "Chromium does not start"
    with connect(found[1], max_size=None) as control:
        control.send('{"id": 1, "method": "Target.getTargets"}')
        targets = msgspec.json.decode(control.recv(timeout=TIME_LIMIT))["result"]["targetInfos"]
    page = next(target["targetId"] for target in targets if target["type"] == "page")
    address = re.sub(r"/devtools/.*", f"/devtools/page/{page}", found[1])
    with connect(address, max_size=None) as connection:
        yield Page(connection)
