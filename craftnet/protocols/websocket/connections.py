"""One transport's connections as a whole: whose heartbeat is due, whose token is over, who is to be closed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from craftnet.access.principal import Principal
from craftnet.protocols.deadlines import Deadlines
from craftnet.wheel import Wheel


class Connection(Hashable, Protocol):
    """One connection.

    Attributes:
        heartbeat_interval: seconds of silence after which its client wants a heartbeat; 0: never.
        sent_at: when it was sent something last; for those that want heartbeats.
    """

    heartbeat_interval: int
    sent_at: float

    @property
    def principal(self) -> Principal:
        """For whom it was opened; another one after a fresh token."""


AnyConnection = TypeVar("AnyConnection", bound=Connection)


class Connections(Generic[AnyConnection]):
    """Those that are open, in the order in which they were opened.

    Arguments:
        period: turns of the wheel from one heartbeat to the next.
    """

    def __init__(self, period: int) -> None:
        self._open: dict[int, AnyConnection] = {}
        self._heartbeats: Wheel[AnyConnection] = Wheel(period)
        self._expiries: Deadlines[int] = Deadlines()
        self._silences: Deadlines[int] = Deadlines()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[AnyConnection]:
        return iter(tuple(self._open.values()))

    def __contains__(self, connection: AnyConnection) -> bool:
        return id(connection) in self._open

    def add(self, connection: AnyConnection) -> None:
        """It was opened."""
        self._open[id(connection)] = connection
        self._heartbeats.add(connection)
        self._expiries.set(id(connection), connection.principal.expires)
        if connection.heartbeat_interval:
            self._silences.set(id(connection), connection.sent_at + connection.heartbeat_interval)

    def renewed(self, connection: AnyConnection) -> None:
        """It has a fresh token."""
        self._expiries.set(id(connection), connection.principal.expires)

    def discard(self, connection: AnyConnection) -> None:
        """It is gone. An unknown one is no error."""
        self._open.pop(id(connection), None)
        self._heartbeats.discard(connection)
        self._expiries.discard(id(connection))
        self._silences.discard(id(connection))

    def heartbeats(self) -> tuple[AnyConnection, ...]:
        """Turn the wheel; whose heartbeat is due then."""
        return self._heartbeats.turn()

    def silent(self, now: float) -> list[AnyConnection]:
        """Those that want a heartbeat and were sent nothing for as long as they say; each once in that time."""
        silent = []
        for key in self._silences.due(now):
            connection = self._open[key]
            due = connection.sent_at + connection.heartbeat_interval
            if due <= now:
                silent.append(connection)
                due = now + connection.heartbeat_interval
            self._silences.set(key, due)
        return silent

    def expired(self, now: float) -> list[AnyConnection]:
        """Whose token is over at `now` (Unix seconds); each is named once."""
        over = []
        for key in self._expiries.due(now):
            connection = self._open[key]
            if connection.principal.expires <= now:
                over.append(connection)
            else:
                self._expiries.set(id(connection), connection.principal.expires)
        return over

    def of(self, covered: Callable[[Principal], bool]) -> list[AnyConnection]:
        """Those whose principal is `covered`."""
        return [connection for connection in self._open.values() if covered(connection.principal)]
