"""All connections of one transport: whose heartbeat is due, whose token expired, which ones to close. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from craftnet.access.principal import Principal
from craftnet.runtime.timers import Deadlines


class Connection(Hashable, Protocol):
    """One connection.

    Attributes:
        heartbeat_interval: seconds of silence after which its client wants a heartbeat; 0: never.
        sent_at: when something was last sent to it; for those that want heartbeats.
    """

    heartbeat_interval: int
    sent_at: float

    @property
    def principal(self) -> Principal:
        """The bearer for whom it was opened; a fresh token replaces it."""


AnyConnection = TypeVar("AnyConnection", bound=Connection)


class Connections(Generic[AnyConnection]):
    """The open connections, in no order.

    Arguments:
        period: turns from one heartbeat of a connection to its next.
    """

    def __init__(self, period: int) -> None:
        # A timing wheel (see `craftnet.runtime.timers`) that also finds a connection by its id: there are very many.
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

    def find(self, key: int) -> AnyConnection | None:
        """The open connection whose id() is `key`."""
        return self._slot(key).get(key)

    def _slot(self, key: int) -> dict[int, AnyConnection]:
        return self._slots[
            hash((key,)) % len(self._slots)
        ]  # addresses alone are multiples of 16, and more often of 32.

    def add(self, connection: AnyConnection) -> None:
        """Adds an opened connection."""
        key = id(connection)
        self._slot(key)[key] = connection
        self._expiries.set(key, connection.principal.expires)
        if connection.heartbeat_interval:
            self._silences.set(key, connection.sent_at + connection.heartbeat_interval)

    def renewed(self, connection: AnyConnection) -> None:
        """Records a fresh token."""
        self._expiries.set(id(connection), connection.principal.expires)

    def discard(self, connection: AnyConnection) -> None:
        """Removes a connection. Unknown ones are ignored."""
        key = id(connection)
        self._slot(key).pop(key, None)
        self._expiries.discard(key)
        self._silences.discard(key)

    def heartbeats(self) -> tuple[AnyConnection, ...]:
        """Advances the wheel; returns the connections whose heartbeat is due."""
        due = tuple(self._slots[self._position].values())
        self._position = (self._position + 1) % len(self._slots)
        return due

    def silent(self, now: float) -> list[AnyConnection]:
        """The connections that want a heartbeat and received nothing for their interval; each once per interval."""
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
        """The connections whose token expired at `now` (Unix seconds); each is returned once."""
        over = []
        for key in self._expiries.due(now):
            connection = self._slot(key)[key]
            if connection.principal.expires <= now:
                over.append(connection)
            else:
                self._expiries.set(key, connection.principal.expires)
        return over

    def of(self, covered: Callable[[Principal], bool]) -> list[AnyConnection]:
        """The connections whose principal is `covered`."""
        return [connection for connection in self if covered(connection.principal)]
