"""What the parts of a process of a load run know of each other."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Is told what happens to watchers."""

    def connected(self, seconds: float) -> None:
        """A watcher has its first state, that long after its first octet."""

    def refused(self, number: int, why: str) -> None:
        """Watcher `number` will have none."""

    def ended(self, number: int, why: str) -> None:
        """The connection of watcher `number` is lost."""

    def received(self, number: int, octets: int) -> None:
        """That many octets came for watcher `number`."""

    def arrived(self, number: int, quality: int, when: float) -> None:
        """A state with this quality reached watcher `number` at `when`, Unix seconds."""


class Watchers(Protocol):
    """One connection for each session.

    Attributes:
        opening: how many are on their way.
    """

    opening: int

    @property
    def deadline(self) -> float:
        """When to call `tick`, Unix seconds; infinite when nothing is due."""

    def open(self, number: int) -> None:
        """Begin to connect watcher `number`. Raises LoadFailed: the server is out of reach."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def close(self) -> None:
        """Close all connections."""
