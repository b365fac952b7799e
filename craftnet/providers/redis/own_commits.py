"""The newest state of each thing that this node wrote to Redis, so that it need not be read and decoded again. Pure."""

from __future__ import annotations

from typing import Generic

from msgspec import Struct

from craftnet.providers.redis.aggregates import Change, State

MAX_BYTES = 16 * 1024 * 1024
"""Bytes of states and changes, as Redis has them, that are remembered of one kind; decoded they take about twice as
much. The least recently written are forgotten."""


class OwnCommit(Struct, Generic[State, Change], frozen=True):
    """What was written.

    Attributes:
        octets: the state, as Redis has it.
        version: that of the state.
        change: the newest change, which led to the state.
        change_octets: that change, as the stream has it.
    """

    state: State
    octets: bytes
    version: int
    change: Change
    change_octets: bytes


class OwnCommits(Generic[State, Change]):
    """The newest commit of each thing. Things are named by their ids as text, as streams name them.

    Another node may have written since: who uses a commit compares it with what Redis has.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._newest: dict[bytes, OwnCommit[State, Change]] = {}  # the least recent first.

    def get(self, name: bytes) -> OwnCommit[State, Change] | None:
        """The commit of a thing; None where none is remembered."""
        return self._newest.get(name)

    def keep(self, name: bytes, commit: OwnCommit[State, Change]) -> None:
        """Remembers a commit."""
        self.forget(name)
        self._newest[name] = commit
        self._bytes += len(commit.octets) + len(commit.change_octets)
        while self._bytes > self._max_bytes:
            self.forget(next(iter(self._newest)))

    def forget(self, name: bytes) -> None:
        """Forgets a commit, if there is one."""
        before = self._newest.pop(name, None)
        if before is not None:
            self._bytes -= len(before.octets) + len(before.change_octets)

    def heard(self, name: bytes, version: int, octets: bytes) -> Change | None:
        """Handles a change in the stream: returns it if it is that of the commit.

        A newer change, which another node wrote, makes the commit outdated: it is forgotten.
        """
        own = self._newest.get(name)
        if own is None or version < own.version:
            return None
        if own.change_octets == octets:
            return own.change
        self.forget(name)
        return None
