"""The pseudonyms of players in audit logs: each has a key of its own, and erasing a player destroys that key.

A pseudonym is an HMAC of the player's id under the player's key. With the key, the entries of a player can be found;
without it, the entries cannot be attributed to the player, although every entry remains and the chains stay whole.

The keys are in an SQLite database that several processes share.
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

REMEMBERED = 20_000
"""Pseudonyms that are kept in memory."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS players (player_id BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID"


class Pseudonyms:
    """The players' keys. Its methods may be called from any thread, by one at a time.

    Arguments:
        path: the database; it is created, readable only by its owner, if it does not exist.
        random: returns that many random bytes.

    Raises:
        ConfigurationError: it cannot be opened.
    """

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._known: OrderedDict[UUID, str] = OrderedDict()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            # SQLite overwrites deleted keys, in the database and in its journal.
            for statement in ("PRAGMA secure_delete = ON", "PRAGMA journal_mode = TRUNCATE", _SCHEMA):
                self._database.execute(statement).close()
            self._seen = self._changes()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the players' keys of the audit log, {path}: {_text(error)}") from error

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
        while len(self._known) > REMEMBERED:
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

        Raises:
            OSError: the database cannot be written; the key is still there.
        """
        self._known.pop(player_id, None)
        try:
            with closing(
                self._database.execute("DELETE FROM players WHERE player_id = ?", (player_id.bytes,))
            ) as deleted:
                return deleted.rowcount > 0
        except sqlite3.Error as error:
            raise _unusable(error) from error

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
