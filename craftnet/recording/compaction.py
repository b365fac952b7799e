"""Joins the many files of a finished day of a recording into a few, so that readers open a few large ones.

A joined file names, in its Parquet metadata, the files that it replaces. It appears as a whole, and then those are
deleted. A crash in between leaves both: readers that know these names skip what is replaced, and the next compaction
deletes it. So no row is ever lost, and none counts twice.

Needs pyarrow, which is an extra.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.parquet
from msgspec import Struct

from craftnet.recording.description import folder_day
from craftnet.recording.files import SCHEMAS, TEMPORARY
from craftnet.recording.keys import day_of
from craftnet.runtime.files import whole_file

JOINED = "joined-"
"""The start of the name of a file that replaces others."""

REPLACES = b"craftnet_replaces"
"""The entry of its metadata with the names of these, a JSON array."""

LOCK = ".compaction"
"""The file in the folder of a recording that is locked while files are joined, or read by an analysis."""

LATE = 900.0
"""Seconds after its end when a day counts as finished: the batches that were open have been written."""

MAX_SIZE = 256 * 1024 * 1024
"""Bytes from which on a file is not joined with others."""

ROWS = 122_880
"""Rows of a row group, as DuckDB's own files have."""


class DamagedFile(Exception):
    """A file is damaged; the text names its folder."""


class Compacted(Struct, frozen=True):
    """What became of the files of one table and day.

    Attributes:
        files, size: the number of files that were replaced, and their bytes.
        joined_size: bytes of the file that replaces them.
    """

    table: str
    day: date
    files: int
    size: int
    joined_size: int


def current_files(folder: Path) -> list[Path]:
    """The files of a day, without those that another one replaces.

    Raises:
        OSError, pyarrow.ArrowException: a file cannot be read.
    """
    return sorted(set(folder.glob("*.parquet")) - set(_replaced(folder)))


@contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Keeps the files of a recording as they are.

    Arguments:
        alone: for joining files. Otherwise for reading them: waits until none are joined; without a lock where the
            folder has none yet, or where opening it is not allowed.

    Raises:
        BlockingIOError: the files are to be joined, and another process joins or reads them.
        OSError: the folder cannot be written, with `alone`.
    """
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT if alone else os.O_RDONLY, 0o666)
    except OSError:
        if alone:
            raise
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)


def compact(folder: Path, now: float, stopped: Callable[[], bool] = lambda: False) -> Iterator[Compacted]:
    """Joins the files of each finished day.

    Arguments:
        folder: the folder of the recording.
        now: Unix seconds.
        stopped: whether to end early; asked between two row groups.

    Yields:
        What became of each table and day with files that could be joined.

    Raises:
        BlockingIOError: another process joins or reads the files.
        OSError: a file cannot be read or written; all rows are still there.
        DamagedFile: the files of a day stayed as they are, because one is damaged; those of all others are joined.
    """
    today = date.fromisoformat(day_of(now - LATE))
    problem: DamagedFile | None = None
    with locked(folder, alone=True):
        for path in sorted(folder.glob("*/day=*")):
            day = folder_day(path)
            if path.parent.name in SCHEMAS and day is not None and day < today and not stopped():
                try:
                    yield from _compact_day(path, path.parent.name, day, stopped)
                except pyarrow.ArrowException as error:
                    problem = problem or DamagedFile(f"a file in {path} is damaged: {error}")
    if problem is not None:
        raise problem


class BackgroundCompaction:
    """Joins files in a thread, because a day of a busy server takes longer than observations may wait.

    Arguments:
        folder: the folder of the recording.
        report: called with a problem in English, in that thread.
    """

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._report = report
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, now: float) -> None:
        """Begins to join the files of finished days, unless that is under way; `now` is in Unix seconds."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, args=(now,), name="compaction")
            self._thread.start()

    def stop(self) -> None:
        """Ends after the present row group; a file that is not whole disappears."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, now: float) -> None:
        try:
            for _ in compact(self._folder, now, self._stopped.is_set):
                pass
        except BlockingIOError:
            return  # another process joins the files, or reads them: next time.
        except (OSError, DamagedFile) as error:
            self._report(f"the files of a finished day cannot be joined, and stay as they are: {error}")


def _compact_day(folder: Path, table: str, day: date, stopped: Callable[[], bool]) -> Iterator[Compacted]:
    for path in _replaced(folder):
        path.unlink(missing_ok=True)
    for group in _groups(folder, SCHEMAS[table]):
        size = sum(path.stat().st_size for path in group)
        joined = _join(folder, group, SCHEMAS[table], stopped)
        if joined is None:
            return
        for path in group:
            path.unlink(missing_ok=True)
        yield Compacted(table, day, len(group), size, joined.stat().st_size)


def _groups(folder: Path, schema: pyarrow.Schema) -> Iterator[list[Path]]:
    """The files to join, in groups of bounded size. Files of another version of the format stay as they are."""
    group: list[Path] = []
    size = 0
    for path in sorted(folder.glob("*.parquet")):
        more = path.stat().st_size
        if more >= MAX_SIZE or not pyarrow.parquet.read_schema(path).equals(schema):
            continue
        if size + more > MAX_SIZE:
            if len(group) > 1:
                yield group
            group, size = [], 0
        group.append(path)
        size += more
    if len(group) > 1:
        yield group


def _join(folder: Path, paths: Sequence[Path], schema: pyarrow.Schema, stopped: Callable[[], bool]) -> Path | None:
    """Writes the rows of files to a new one; None if it was stopped."""
    names = msgspec.json.encode([path.name for path in paths])
    schema = schema.with_metadata({**(schema.metadata or {}), REPLACES: names})
    name = f"{JOINED}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
    path, temporary = folder / f"{name}.parquet", folder / f"{TEMPORARY}{name}"
    try:
        with whole_file(path, temporary) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as to:
            for rows in _row_groups(paths, schema):
                if stopped():
                    raise _Stopped
                to.write_table(rows, row_group_size=ROWS)
    except _Stopped:
        return None
    return path


def _row_groups(paths: Sequence[Path], schema: pyarrow.Schema) -> Iterator[pyarrow.Table]:
    """The rows of files, in tables of about `ROWS` rows."""
    waiting: list[pyarrow.Table] = []
    for path in paths:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS):
                waiting.append(pyarrow.Table.from_batches([batch]).cast(schema))
                if sum(table.num_rows for table in waiting) >= ROWS:
                    yield pyarrow.concat_tables(waiting)
                    waiting = []
    if waiting:
        yield pyarrow.concat_tables(waiting)


def _replaced(folder: Path) -> list[Path]:
    """The files of a day that are still there although another one replaces them."""
    names: set[str] = set()
    for path in folder.glob(f"{JOINED}*.parquet"):
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        names.update(msgspec.json.decode(metadata.get(REPLACES, b"[]"), type=list[str]))
    return [path for path in folder.glob("*.parquet") if path.name in names]


class _Stopped(Exception):
    """The work shall end early."""
