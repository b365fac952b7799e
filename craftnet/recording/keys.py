"""The pseudonyms of a recording: keyed by a secret that changes every day or month and is then destroyed.

A player's pseudonym depends on the key of the period and on the player's own key, which the audit log uses as well
(`craftnet.observe.audit.pseudonyms`). When the player's key is destroyed, the pseudonym cannot be attributed to the
player; when the period's key is destroyed, no pseudonym of the period can, nor can it be linked to another period.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from craftnet.observe.audit.pseudonyms import Pseudonyms

PSEUDONYM_SIZE = 16
"""Bytes of a pseudonym."""

ROTATIONS = ("day", "month")
"""How long a period lasts, in UTC."""


def day_of(now: float) -> str:
    """The UTC day of a time in Unix seconds, such as 2026-01-15."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def period_of(now: float, rotation: str) -> str:
    """The period of a time in Unix seconds: the day, such as 2026-01-15, or the month, such as 2026-01."""
    day = day_of(now)
    return day if rotation == "day" else day[:7]


class PeriodNames:
    """The pseudonyms of one period, as `craftnet.recording.rows.Names`.

    Arguments:
        key: the key of the period.
        players: the players' pseudonyms under their own keys.
    """

    def __init__(self, key: bytes, players: Mapping[UUID, str]) -> None:
        self._key = key
        self._players = players

    def player(self, player_id: UUID) -> bytes:
        """The pseudonym of a player."""
        return self._name(b"player", self._players[player_id].encode())

    def session(self, session_id: UUID) -> bytes:
        """The pseudonym of a session."""
        return self._name(b"session", session_id.bytes)

    def place(self, player_id: UUID, entry: str) -> bytes:
        """The pseudonym of a player's place in a queue."""
        return self._name(b"place", player_id.bytes + entry.encode())

    def _name(self, kind: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, b"%b:%b" % (kind, content), hashlib.sha256)[:PSEUDONYM_SIZE]


class RecordingKeys:
    """The keys of a recording; finds those that apply at a moment.

    Arguments:
        players: the players' keys, and the keys of periods.
        rotation: "day" or "month".
        shared: the secret from which nodes on several machines derive the same keys of periods; None: the keys are
            random, and those of earlier periods are destroyed.
    """

    def __init__(self, players: Pseudonyms, rotation: str, shared: bytes | None = None) -> None:
        self._players = players
        self._rotation = rotation
        self._shared = shared

    def names(self, now: float, players: Iterable[UUID]) -> PeriodNames:
        """The pseudonyms at a moment, in Unix seconds, those of `players` included.

        Raises:
            OSError: the keys cannot be read or stored.
        """
        period = period_of(now, self._rotation)
        if self._shared is None:
            key = self._players.period_key(period)
        else:
            key = hmac.digest(self._shared, b"craftnet recording " + period.encode(), hashlib.sha256)
        known = self._players.of(players)
        return PeriodNames(key, known)
