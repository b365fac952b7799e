"""One transport's connections as a whole: whose heartbeat is due, whose token is over, who is to be closed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from craftnet.access.principal import Principal
from craftnet.protocols.deadlines import Deadlines


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
    """Those that are open, in no order.

    Arguments:
        period: turns from one heartbeat of a connection to its next.
    """

    def __init__(self, period: int) -> None:
        # A timing wheel (see `craftnet.wheel`) that also finds a connection by its id: there are very many.
        self._slots: list[dict[int, AnyConnection]] = [{} for _ in range(period)]
        self._position = 0
        self._expiries: Deadlines[int] = Deadlines()
        self._silences: Deadlines[int] = Deadlines()

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __iter__(self) -> Iterator[AnyConnection]:
        return iter([connection for slot in self._slots for connection in slot.values()])

    def __contains__(self, connection: AnyConnection) -> bool:
        key = id(connection)
        return key in self._slot(key)

    def _slot(self, key: int) -> dict[int, AnyConnection]:
        return self._slots[
            hash((key,)) % len(self._slots)
        ]  # addresses alone are multiples of 16, and more often of 32.

    def add(self, connection: AnyConnection) -> None:
        """It was opened."""
        key = id(connection)
        self._slot(key)[key] = connection
        self._expiries.set(key, connection.principal.expires)
        if connection.heartbeat_interval:
            self._silences.set(key, connection.sent_at + connection.heartbeat_interval)

    def renewed(self, connection: AnyConnection) -> None:
        """It has a fresh token."""
        self._expiries.set(id(connection), connection.principal.expires)

    def discard(self, connection: AnyConnection) -> None:
        """It is gone. An unknown one is no error."""
        key = id(connection)
        self._slot(key).pop(key, None)
        self._expiries.discard(key)
        self._silences.discard(key)

    def heartbeats(self) -> tuple[AnyConnection, ...]:
        """Turn the wheel; whose heartbeat is due then."""
        due = tuple(self._slots[self._position].values())
        self._position = (self._position + 1) % len(self._slots)
        return due

    def silent(self, now: float) -> list[AnyConnection]:
        """Those that want a heartbeat and were sent nothing for as long as they say; each once in that time."""
        silent = []
        for key in self._silences.due(now):
            connection = self._slot(key)[key]
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
            connection = self._slot(key)[key]
            if connection.principal.expires <= now:
                over.append(connection)
            else:
                self._expiries.set(key, connection.principal.expires)
        return over

    def of(self, covered: Callable[[Principal], bool]) -> list[AnyConnection]:
        """Those whose principal is `covered`."""
        return [connection for connection in self if covered(connection.principal)]
