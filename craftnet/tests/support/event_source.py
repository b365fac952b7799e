"""Readers of event streams that share no code with the server (HTML Living Standard, section 9.2.6)."""

from __future__ import annotations

import http.client

from msgspec import Struct


class Event(Struct):
    """One event. `retry` is what the stream said about the time to reconnect, in milliseconds, so far."""

    name: str
    data: str
    id: str
    retry: int | None


class EventSource:
    """Reads one stream, in pieces of any length."""

    def __init__(self) -> None:
        self.comments = 0
        self._octets = b""
        self._name = ""
        self._data: list[str] = []
        self._id = ""
        self._retry: int | None = None

    def feed(self, octets: bytes) -> list[Event]:
        """The events that these octets complete."""
        found = []
        *lines, self._octets = (self._octets + octets).split(b"\n")
        for line in lines:
            event = self._line(line.decode())
            if event is not None:
                found.append(event)
        return found

    def _line(self, line: str) -> Event | None:
        if not line:
            name, data = self._name or "message", self._data
            self._name, self._data = "", []
            return Event(name, "\n".join(data), self._id, self._retry) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry":
                self._retry = int(value)
            case _:
                raise AssertionError(f"an unknown field: {line!r}")
        return None


class StreamReader:
    """A stream of a server, which Python's own HTTP client reads. Its methods block.

    Arguments:
        url: the server's, `http://host:port`.
        fields: further header fields; their names are written with underscores.
    """

    def __init__(self, url: str, path: str, bearer: str, **fields: str) -> None:
        host, _, port = url.partition("://")[2].partition(":")
        self._connection = connection = http.client.HTTPConnection(host, int(port), timeout=20)
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}", **names})
        self.response = connection.getresponse()
        self._source = EventSource()
        self._events: list[Event] = []

    def event(self) -> Event:
        """The next event. Raises AssertionError at the end of the stream."""
        while not self._events:
            octets = self.response.readline()
            assert octets, "the stream has ended"
            self._events += self._source.feed(octets)
        return self._events.pop(0)

    def rest(self) -> bytes:
        """What follows until the end of the stream; raises when it is cut off."""
        return self.response.read()

    def close(self) -> None:
        """Goes away."""
        self.response.close()
        self._connection.close()
