"""The process that writes a recording: python -m craftnet.recording.writer SETTINGS.

It reads observations from its standard input and reports on its standard output. When its input ends, because the
server stops or is gone, it writes the open batch and ends.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from craftnet.contract.events import SessionStart
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.keys import key_from_file
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.recording.compaction import BackgroundCompaction
from craftnet.recording.description import Description
from craftnet.recording.files import RecordingFiles
from craftnet.recording.keys import RecordingKeys, day_of
from craftnet.recording.messages import Messages, WriterSettings, WriterStatus, decode_observations, encode_status
from craftnet.recording.rows import TABLE_OF, Row, rows_of

MAX_BATCH = 100_000
"""Observations in a batch; a batch that is larger is written at once."""

RETRY = 1.0
"""Seconds between two attempts after a failed write."""

REPORT = 5.0
"""Seconds between two reports when nothing has happened."""

TIDYING = 3600.0
"""Seconds between two looks for days that have expired, or whose files can be joined."""

READ_SIZE = 65_536
NICENESS = 5
"""The server and its players come first."""


class Writer:
    """Collects rows, and writes them in batches.

    Arguments:
        keys: the keys of pseudonyms.
        files: the files.
        interval: seconds for which a batch is open.
        days: days after which files are deleted; 0: never.
        join: called every hour with the time: joins the files of finished days, without blocking.

    Attributes:
        problem: the reason why it cannot write now, empty if it can. Callers give it nothing more while there is one.
    """

    def __init__(
        self,
        keys: RecordingKeys,
        files: RecordingFiles,
        interval: float,
        days: int = 0,
        join: Callable[[float], None] = lambda now: None,
    ) -> None:
        self._keys = keys
        self._files = files
        self._interval = interval
        self._days = days
        self._join = join
        self._messages: deque[bytes] = deque()  # not yet rows.
        self._rows: dict[tuple[str, str], list[Row]] = {}
        self._observations = 0
        self._opened_at = 0.0
        self._retry_at = self._tidy_at = float("-inf")
        self._prepared = False
        self._written = self._size = 0
        self.problem = ""

    def take(self, message: bytes, now: float) -> None:
        """Takes a message of observations; `now` is in Unix seconds, as everywhere."""
        self._messages.append(message)
        if not self.problem:
            self.turn(now)

    def turn(self, now: float, *, last: bool = False) -> None:
        """Writes the batch, deletes expired days and tries failed writes again, each when it is due.

        Arguments:
            last: whether everything must be written now, because the process ends.
        """
        if self.problem and now < self._retry_at and not last:
            return
        try:
            if not self._prepared:
                self._files.prepare()
                self._prepared = True
            self._read(now)
            if self._observations and (last or self._is_due(now)):
                self._publish()
            self.problem = ""
            if now >= self._tidy_at:
                self._tidy_at = now + TIDYING
                if self._days:
                    self._files.expire(now, self._days)
                self._join(now)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self._retry_at = now + RETRY

    def status(self) -> WriterStatus:
        """The status since the last call."""
        status = WriterStatus(self._written, self._size, self.problem)
        self._written = self._size = 0
        return status

    @property
    def unwritten(self) -> int:
        """Observations that have been taken and are in no file."""
        return self._observations + sum(len(decode_observations(message)) for message in self._messages)

    def _is_due(self, now: float) -> bool:
        return self._observations >= MAX_BATCH or not 0 <= now - self._opened_at < self._interval

    def _read(self, now: float) -> None:
        """Turns messages into rows."""
        day = day_of(now)
        while self._messages:
            observations = decode_observations(self._messages[0])
            players = {data.player_id for _, data in observations if isinstance(data, SessionStart)}
            names = self._keys.names(now, players)
            if not self._observations:
                self._opened_at = now
            for when, data in observations:
                for row in rows_of(data, when, names):
                    self._rows.setdefault((TABLE_OF[type(row)], day), []).append(row)
            self._observations += len(observations)
            self._messages.popleft()
            if self._observations >= MAX_BATCH:
                self._publish()

    def _publish(self) -> None:
        """Writes the open batch. After a failure, the files that were written are not written again."""
        for (table, day), rows in list(self._rows.items()):
            self._size += self._files.publish(table, day, rows)
            del self._rows[table, day]
        self._written += self._observations
        self._observations = 0


def serve(writer: Writer, source: int, report: Callable[[WriterStatus], None], wall: Callable[[], float]) -> int:
    """Writes what arrives until it ends; returns the number of observations that are lost.

    Arguments:
        source: the file descriptor from which observations arrive.
        report: called with each status.
        wall: returns the time, Unix seconds.
    """
    messages, poll = Messages(), select.poll()
    reported = float("-inf")
    writer.turn(wall())
    while True:
        poll.register(source, 0 if writer.problem else select.POLLIN)  # a pipe that ends is noticed in either case.
        ready = poll.poll(RETRY * 1000)
        if ready and not writer.problem:
            octets = os.read(source, READ_SIZE)
            for message in messages.feed(octets):
                writer.take(message, wall())
            if not octets:
                break
        elif ready:
            break
        writer.turn(wall())
        status = writer.status()
        if status.written or status.problem or time.monotonic() >= reported + REPORT:
            reported = time.monotonic()
            report(status)
    for message in messages.feed(_rest(source)):
        writer.take(message, wall())
    writer.turn(wall(), last=True)
    report(writer.status())
    return writer.unwritten


def _rest(source: int) -> bytes:
    """What is left in a pipe whose other end is closed."""
    parts = []
    while octets := os.read(source, READ_SIZE):
        parts.append(octets)
    return b"".join(parts)


def _report(status: WriterStatus) -> None:
    try:
        os.write(sys.stdout.fileno(), encode_status(status))
    except BrokenPipeError:  # the server is gone; what it sent is still written.
        return


def main(arguments: list[str]) -> int:
    """Runs the writer; returns the exit code of the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the server decides when it ends.
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    settings = msgspec.json.decode(arguments[0], type=WriterSettings)
    try:
        secret = None if settings.key is None else key_from_file(Path(settings.key)).secret
        keys = RecordingKeys(Pseudonyms(Path(settings.players)), settings.rotation, secret)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    description = Description(rotation=settings.rotation, players=settings.players, shared_key=secret is not None)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    files = RecordingFiles(Path(settings.folder), f"{settings.worker}-{stamp}-{secrets.token_hex(4)}", description)
    compaction = BackgroundCompaction(Path(settings.folder), lambda problem: print(problem, file=sys.stderr))
    writer = Writer(keys, files, settings.interval, settings.days, compaction.begin)
    lost = serve(writer, sys.stdin.fileno(), _report, time.time)
    compaction.stop()
    if lost:
        print(f"{lost} observations could not be written and are lost", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
