"""The files of a recording: DIR/TABLE/day=YYYY-MM-DD/NAME.parquet. A file appears whole, or not at all.

Needs pyarrow, which is an extra.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.parquet
from msgspec.structs import astuple

from craftnet.recording.description import FORMAT, MARKER, Description, folder_day
from craftnet.recording.keys import day_of
from craftnet.recording.rows import TABLES, Row, columns
from craftnet.runtime.files import write_whole

TEMPORARY = ".open-"
"""The start of the name of a file that is being written."""

ABANDONED = 3600.0
"""Age in seconds from which such a file counts as left behind by a writer that died."""

_TYPES = {
    "timestamp(ms, UTC)": pyarrow.timestamp("ms", "UTC"),
    "binary(16)": pyarrow.binary(16),
    "string": pyarrow.string(),
    "double": pyarrow.float64(),
    "int32": pyarrow.int32(),
}

SCHEMAS = {
    name: pyarrow.schema(
        [pyarrow.field(column.name, _TYPES[column.type], nullable=column.optional) for column in columns(table)],
        metadata={"craftnet": str(FORMAT)},
    )
    for name, table in TABLES.items()
}
"""The schema of each table."""


class RecordingFiles:
    """Writes files.

    Arguments:
        folder: the folder of the recording.
        name: begins the name of each file; no two writers have the same.
        description: of the recording, which goes into its folder.
    """

    def __init__(self, folder: Path, name: str, description: Description) -> None:
        self._folder = folder
        self._name = name
        self._description = description
        self._number = 0

    def prepare(self) -> None:
        """Writes the description, and removes the unfinished files of writers that died.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        octets = msgspec.json.format(msgspec.json.encode(self._description)) + b"\n"
        marker = self._folder / MARKER
        if not marker.exists() or marker.read_bytes() != octets:
            write_whole(marker, octets, self._folder / f"{TEMPORARY}{self._name}")
        for path in self._folder.glob(f"*/*/{TEMPORARY}*"):
            if path.stat().st_mtime < time.time() - ABANDONED:
                path.unlink(missing_ok=True)

    def publish(self, table: str, day: str, rows: Sequence[Row]) -> int:
        """Writes rows to a new file, and waits for the disk; returns the file's size in bytes.

        Raises:
            OSError: the file was not written.
        """
        octets = encoded(table, rows)
        folder = self._folder / table / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        name = f"{self._name}-{self._number:06d}"
        write_whole(folder / f"{name}.parquet", octets, folder / f"{TEMPORARY}{name}")
        return len(octets)

    def expire(self, now: float, days: int) -> list[Path]:
        """Deletes the folders of days that ended more than `days` days ago; returns them.

        Raises:
            OSError: a folder cannot be deleted.
        """
        first = date.fromisoformat(day_of(now)) - timedelta(days=days)
        expired = [path for path in sorted(self._folder.glob("*/day=*")) if (day := folder_day(path)) and day < first]
        for path in expired:
            if path.parent.name in TABLES:
                shutil.rmtree(path, onerror=_unless_gone)
        return expired


def encoded(table: str, rows: Sequence[Row]) -> bytes:
    """The Parquet file of rows."""
    schema = SCHEMAS[table]
    arrays = [
        pyarrow.array(values, field.type)
        for values, field in zip(zip(*map(astuple, rows), strict=True), schema, strict=True)
    ]
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue())


def _unless_gone(function: object, path: str, problem: tuple[type[BaseException], BaseException, object]) -> None:
    """Ignores that another worker deletes the same files."""
    if not isinstance(problem[1], FileNotFoundError):
        raise problem[1]
