"""The interfaces between the parts of a process of a load run."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives what happens to watchers."""

    def connected(self, seconds: float) -> None:
        """A watcher has its first state, `seconds` after its first octet."""

    def refused(self, number: int, why: str) -> None:
        """Watcher `number` was refused."""

    def ended(self, number: int, why: str) -> None:
        """The connection of watcher `number` was lost."""

    def received(self, number: int, octets: int) -> None:
        """`octets` octets arrived for watcher `number`."""

    def arrived(self, number: int, quality: int, when: float) -> None:
        """A state with this quality reached watcher `number` at `when`, Unix seconds."""


class Watchers(Protocol):
    """One connection for each session.

    Attributes:
        opening: the number of connections being opened.
    """

    opening: int

    @property
    def deadline(self) -> float:
        """When to call `tick`, Unix seconds; infinite when nothing is due."""

    def open(self, number: int) -> None:
        """Starts connecting watcher `number`. Raises LoadFailed: the server is unreachable."""

    def tick(self, now: float) -> None:
        """Does what is due."""

    def close(self) -> None:
        """Closes all connections."""
