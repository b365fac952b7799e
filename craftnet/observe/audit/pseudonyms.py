"""The pseudonyms of players: each has a key of its own, and erasing a player destroys that key.

A pseudonym is an HMAC of the player's id under the player's key. With the key, the entries of a player in the audit log
can be found; without it, the entries cannot be attributed to the player, although every entry remains and the chains
stay whole.

The keys are in an SQLite database that several processes share. It also has the key of the present period, with which a
recording (`craftnet.recording.keys`) makes pseudonyms that nothing links to those of another period.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from uuid import UUID

from craftnet.errors import ConfigurationError

KEY_SIZE = 32
"""Bytes of a player's key."""

MAX_PSEUDONYMS = 20_000
"""Pseudonyms that are kept in memory."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS players (player_id BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID"
_PERIODS = "CREATE TABLE IF NOT EXISTS periods (period TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID"


class Pseudonyms:
    """The players' keys, and that of the present period. Its methods may be called from any thread, by one at a time.

    Arguments:
        path: the database; it is created, readable only by its owner, if it does not exist.
        random: returns that many random bytes.

    Raises:
        ConfigurationError: it cannot be opened.
    """

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._known: OrderedDict[UUID, str] = OrderedDict()
        self._period: tuple[str, bytes] | None = None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            # SQLite overwrites deleted keys, in the database and in its journal.
            for statement in ("PRAGMA secure_delete = ON", "PRAGMA journal_mode = TRUNCATE", _SCHEMA, _PERIODS):
                self._database.execute(statement).close()
            self._seen = self._changes()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the players' keys, {path}: {_text(error)}") from error

    def of(self, players: Iterable[UUID]) -> dict[UUID, str]:
        """The pseudonyms of players: 32 hexadecimal digits each. Those without a key get one.

        Raises:
            OSError: the keys cannot be stored.
        """
        self._refresh()
        found = {player: known for player in set(players) if (known := self._known.get(player)) is not None}
        unknown = sorted(set(players) - set(found))
        if unknown:
            rows = [(player.bytes, self._random(KEY_SIZE)) for player in unknown]
            try:
                with self._database:  # one transaction, since each waits for the disk.
                    self._database.execute("BEGIN IMMEDIATE").close()
                    self._database.executemany("INSERT OR IGNORE INTO players VALUES (?, ?)", rows).close()
            except sqlite3.Error as error:
                raise _unusable(error) from error
        for player in unknown:
            pseudonym = self.find(player)
            assert pseudonym is not None
            found[player] = self._known[player] = pseudonym
        while len(self._known) > MAX_PSEUDONYMS:
            self._known.popitem(last=False)
        return found

    def find(self, player_id: UUID) -> str | None:
        """The pseudonym of a player; None if the player has no key.

        Raises:
            OSError: the database cannot be read.
        """
        try:
            with closing(
                self._database.execute("SELECT key FROM players WHERE player_id = ?", (player_id.bytes,))
            ) as rows:
                row = rows.fetchone()
        except sqlite3.Error as error:
            raise _unusable(error) from error
        return None if row is None else pseudonym_under(row[0], player_id)

    def erase(self, player_id: UUID) -> bool:
        """Destroys the player's key; returns whether there was one. Later entries get another pseudonym.

        Destroys the key of the present period as well, with which a recording names the player's sessions.

        Raises:
            OSError: the database cannot be written; the keys are still there.
        """
        self._known.pop(player_id, None)
        self._period = None
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE").close()
                self._database.execute("DELETE FROM periods").close()
                with closing(
                    self._database.execute("DELETE FROM players WHERE player_id = ?", (player_id.bytes,))
                ) as deleted:
                    return deleted.rowcount > 0
        except sqlite3.Error as error:
            raise _unusable(error) from error

    def period_key(self, period: str) -> bytes:
        """The key of a period; a new one if it has none. Destroys the keys of earlier periods.

        Arguments:
            period: a day or a month, such as 2026-01-15; later periods are greater.

        Raises:
            OSError: the key cannot be read or stored.
        """
        self._refresh()
        if self._period is None or self._period[0] != period:
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE").close()
                    row = (period, self._random(KEY_SIZE))
                    self._database.execute("INSERT OR IGNORE INTO periods VALUES (?, ?)", row).close()
                    self._database.execute("DELETE FROM periods WHERE period < ?", (period,)).close()
                    with closing(self._database.execute("SELECT key FROM periods WHERE period = ?", row[:1])) as rows:
                        self._period = period, bytes(rows.fetchone()[0])
            except sqlite3.Error as error:
                raise _unusable(error) from error
        return self._period[1]

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def _refresh(self) -> None:
        """Clears the cache if another process has changed the database, because it may have erased a player."""
        try:
            seen = self._changes()
        except sqlite3.Error as error:
            raise _unusable(error) from error
        if seen != self._seen:
            self._seen = seen
            self._known.clear()
            self._period = None

    def _changes(self) -> int:
        """A number that changes with every change by another process."""
        with closing(self._database.execute("PRAGMA data_version")) as rows:
            return int(rows.fetchone()[0])


def pseudonym_under(key: bytes, player_id: UUID) -> str:
    """The pseudonym of a player under a key."""
    return hmac.digest(key, player_id.bytes, hashlib.sha256).hex()[:32]


def _unusable(error: sqlite3.Error) -> OSError:
    return OSError(f"the players' keys: {error}")


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
