"""The file of an audit log: appends entries, continues after an earlier process, and rotates. It blocks.

Every method may be called from any thread, by one at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from craftnet.contract.messages import rfc3339
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.entries import NO_ENTRY, AuditKey, LogEntry, authentic, parse, seal
from craftnet.observe.audit.events import Details, SecurityEvent, SecurityEventType
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.observe.audit.verification import ChainHead, digest_of

TAIL = 65_536
"""Bytes at the end of a file in which its last entry is looked for."""

MODE = 0o600
"""Of a new file."""


class AuditFile:
    """The audit log of one process.

    Arguments:
        path: the file.
        key: seals the entries.
        players: the pseudonyms of players.
        name: the beginning of a new chain's name; the rest is random.
        wall: the system's clock, Unix seconds.
        random: returns that many random bytes.

    Attributes:
        path: the file, absolute.
        head: the newest entry; None before `open`.
    """

    def __init__(
        self,
        path: Path,
        key: AuditKey,
        players: Pseudonyms,
        name: str,
        wall: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.path = path.absolute()
        self._key = key
        self._players = players
        self._name = name
        self._wall = wall
        self._random = random
        self._file = -1
        self._torn: bytes | None = None  # the unfinished line at the end of the file.
        self._continues = False  # whether the file must begin by saying that its chain is an older one.
        self._written = 0  # events in this file since it was opened.
        self.head: ChainHead | None = None

    @property
    def key_id(self) -> str:
        """Names the key."""
        return self._key.id

    def open(self) -> None:
        """Opens the file, and finds the last entry of an earlier process.

        Raises:
            ConfigurationError: the file cannot be opened, or another process writes it.
        """
        self._file = self._opened()
        try:
            self._find_head()
        except OSError as error:
            raise ConfigurationError(f"cannot read the audit log {self.path}: {error.strerror}") from error

    def write(self, events: Sequence[SecurityEvent]) -> None:
        """Appends events.

        Raises:
            OSError: none of them was written.
        """
        pseudonyms = self._players.of({event.player_id for event in events if event.player_id is not None})
        head, lines = self._begun(), list[bytes]()
        first: list[SecurityEvent] = []
        if self._torn is not None:
            lines.append(b"\n")
            said: Details = {"bytes": len(self._torn), "digest": digest_of(self._torn)}
            first.append(self._event(SecurityEventType.TORN, said))
        if self._continues:
            first.append(self._event(SecurityEventType.CONTINUED, {"key_id": self._key.id}))
        for event in (*first, *events):
            line, mac = seal(_entry(event, head, pseudonyms), self._key)
            lines.append(line)
            head = ChainHead(head.chain, head.sequence + 1, mac)
        self._append(b"".join(lines))
        self.head, self._torn, self._continues = head, None, False
        self._written += len(events)

    def sync(self) -> None:
        """Waits until everything is on the disk.

        Raises:
            OSError: it may not be.
        """
        os.fsync(self._file)

    def rotate(self) -> None:
        """Continues in a new file.

        Adds the time to the name of the present file, unless another program has renamed it. Keeps a file without
        entries.

        Raises:
            OSError: the new file cannot be opened or written; entries are written to the one that is open.
        """
        if self._in_place():
            if not self._written:
                return
            os.rename(self.path, self._free_name())
        try:
            following = self._opened()
        except ConfigurationError as error:
            raise OSError(str(error)) from error
        self.write([self._event(SecurityEventType.ROTATED, {})])
        self.sync()
        os.close(self._file)
        self._file, self._written, self._continues = following, 0, True
        self.write([])

    def close(self) -> None:
        """Records the stop and closes the file.

        Raises:
            OSError: it could not be recorded; the file is closed.
        """
        try:
            self.write([self._event(SecurityEventType.STOPPED, {})])
            self.sync()
        finally:
            os.close(self._file)
            self._file = -1
            self._players.close()

    def _event(self, kind: SecurityEventType, details: Details) -> SecurityEvent:
        return SecurityEvent(type=kind, time=self._wall(), details=details)

    def _begun(self) -> ChainHead:
        """The head; that of a new chain before its first entry."""
        if self.head is None:
            self.head = ChainHead(f"{self._name}-{self._random(8).hex()}", 0, NO_ENTRY)
        return self.head

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self.path, flags, MODE)
        except OSError as error:
            raise ConfigurationError(f"cannot write the audit log {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise ConfigurationError(f"another process writes the audit log {self.path}: choose another file") from None
        return file

    def _find_head(self) -> None:
        """Reads the last entry of an earlier process.

        The last entry counts even if this key did not seal it: the key may be a new one, and a forged entry is found
        by verification.
        """
        size = os.fstat(self._file).st_size
        *lines, rest = os.pread(self._file, TAIL, max(0, size - TAIL)).split(b"\n")
        if rest:
            if authentic(rest, self._key):  # only its newline is missing.
                self._append(b"\n")
                lines.append(rest)
            else:
                self._torn = rest
        for line in reversed(lines):
            sealed = parse(line)
            if sealed is not None:
                self.head = ChainHead(sealed.entry.chain, sealed.entry.sequence, sealed.mac)
                return

    def _append(self, octets: bytes) -> None:
        written = 0
        try:
            while written < len(octets):
                written += os.write(self._file, octets[written:])
        except OSError:
            self._take_back(octets[:written])
            raise

    def _take_back(self, part: bytes) -> None:
        """Removes a part that was written before the disk was full."""
        if not part:
            return
        try:
            os.ftruncate(self._file, os.fstat(self._file).st_size - len(part))
        except OSError:
            self._torn = None
            self._find_head()

    def _in_place(self) -> bool:
        """Whether the open file still has its name."""
        try:
            named = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._file))

    def _free_name(self) -> Path:
        stamp = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
        number, name = 1, self.path.with_name(f"{self.path.stem}-{stamp}{self.path.suffix}")
        while name.exists():
            number += 1
            name = self.path.with_name(f"{self.path.stem}-{stamp}-{number}{self.path.suffix}")
        return name


def _entry(event: SecurityEvent, head: ChainHead, pseudonyms: dict[UUID, str]) -> LogEntry:
    """The entry of an event that follows `head`."""
    return LogEntry(
        time=rfc3339(event.time),
        chain=head.chain,
        sequence=head.sequence + 1,
        event=event.type,
        player=None if event.player_id is None else pseudonyms[event.player_id],
        address=event.address,
        transport=event.transport,
        route=event.route,
        status=event.status,
        actor=event.actor,
        reason=event.reason,
        trace_id=event.trace_id,
        count=event.count,
        since=None if event.since is None else rfc3339(event.since),
        details=dict(event.details or {}),
        previous=head.mac,
    )
