"""A recording as tables that DuckDB answers questions about.

`crafts` has one row for each session, `stops` one for each interruption, `waits` one for each wait in a queue,
`shortages` one for each notification about a material, and `paths` one for each sample of a network path.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
from msgspec import Struct

from craftnet.errors import ConfigurationError
from craftnet.recording.compaction import current_files, locked
from craftnet.recording.description import description_of, folder_day
from craftnet.recording.rows import TABLES, columns

_TYPES = {
    "timestamp(ms, UTC)": "TIMESTAMPTZ",
    "binary(16)": "BLOB",
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int32": "INTEGER",
}

_EARLY, _LATE = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

# A session counts when it ended in the period, or began in it and has no end; so all of its rows are needed, of the
# days around the period as well.
_CRAFTS = """
CREATE TABLE crafts AS
SELECT * FROM (
    SELECT
        session,
        min(time) FILTER (event = 'start') AS begun,
        min(time) FILTER (event IN ('complete', 'fail', 'cancel')) AS ended,
        any_value(recipe) AS recipe,
        any_value(estimated_seconds) AS estimated,
        arg_min(event, time) FILTER (event IN ('complete', 'fail', 'cancel')) AS outcome,
        arg_min(reason, time) FILTER (event IN ('complete', 'fail', 'cancel')) AS reason
    FROM sessions GROUP BY session
) WHERE coalesce(ended, begun) >= $since AND coalesce(ended, begun) < $until
"""

# The rows of a session where it changes between running and standing still; a stop lasts until the next such row. Of
# rows of one millisecond, whose order the files do not tell, the start comes first, and the end last.
_STOPS = """
CREATE TABLE stops AS
WITH steps AS (
    SELECT session, time, reason, coalesce(status, event) AS step,
        coalesce(status, event) IN ('pause', 'paused', 'interrupted') AS stopped,
        CASE WHEN event = 'start' THEN 0 WHEN event IN ('complete', 'fail', 'cancel') THEN 3 WHEN stopped THEN 1 ELSE 2
        END AS step_order
    FROM sessions SEMI JOIN crafts USING (session)
), changes AS (
    SELECT * FROM steps
    QUALIFY stopped IS DISTINCT FROM lag(stopped, 1, false) OVER (PARTITION BY session ORDER BY time, step_order)
), lasting AS (
    SELECT *, lead(time) OVER (PARTITION BY session ORDER BY time, step_order) AS next FROM changes
)
SELECT session, time, epoch(next) - epoch(time) AS seconds, CASE
        WHEN reason IS NOT NULL THEN reason
        WHEN EXISTS (
            FROM materials WHERE materials.session = lasting.session AND materials.event <> 'material_restored'
                AND abs(epoch(materials.time) - epoch(lasting.time)) <= 2
        ) THEN 'missing_material'
        ELSE 'no_reason_given'
    END AS reason
FROM lasting WHERE stopped
"""

# A place in a queue may be taken again after it ended, so each end begins another wait.
_WAITS = """
CREATE TABLE waits AS
WITH numbered AS (
    SELECT *, coalesce(sum(CAST(event IN ('station_available', 'queue_timeout') AS INTEGER)) OVER (
        PARTITION BY place ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS wait
    FROM queues
)
SELECT * FROM (
    SELECT
        any_value(station) AS station,
        arg_max(event, time) AS outcome,
        epoch(max(time)) - epoch(min(time)) AS seconds,
        arg_min(estimated_wait_seconds, time) AS estimated,
        max(time) AS ended
    FROM numbered GROUP BY place, wait HAVING count(*) > 1
) WHERE outcome IN ('station_available', 'queue_timeout') AND ended >= $since AND ended < $until
"""

_SHORTAGES = """
CREATE TABLE shortages AS
SELECT * FROM materials WHERE event <> 'material_restored' AND time >= $since AND time < $until
"""

_PATHS = "CREATE TABLE paths AS SELECT * FROM network WHERE time >= $since AND time < $until"


class Period(Struct, frozen=True):
    """The period of an analysis, UTC.

    Attributes:
        since: None: from the first row.
        until: the first moment after it; None: to the last row.
    """

    since: datetime | None = None
    until: datetime | None = None


class RecordedHistory:
    """The tables of a recording in a period.

    Arguments:
        folder: the recording.

    Raises:
        ConfigurationError: the folder is no recording, or has nothing in the period.
    """

    def __init__(self, folder: Path, period: Period) -> None:
        description_of(folder)
        self._resources = ExitStack()
        try:
            self._resources.enter_context(locked(folder, alone=False))
            self._open_all(folder, period)
        except BaseException:
            self._resources.close()
            raise

    def _open_all(self, folder: Path, period: Period) -> None:
        self._database = duckdb.connect(":memory:", config={"threads": 2, "autoinstall_known_extensions": False})
        self._resources.callback(self._database.close)
        self._database.execute("SET TimeZone = 'UTC'")
        days = sorted(
            day
            for path in folder.glob("*/day=*/*.parquet")
            if path.parts[-3] in TABLES and (day := folder_day(path.parent))
        )
        if not days:
            raise ConfigurationError(f"{folder} has no rows yet: the server writes the first ones after a minute")
        try:
            for table in TABLES:
                self._open(folder, table, period)
            for statement in (_CRAFTS, _STOPS, _WAITS, _SHORTAGES, _PATHS):
                wanted = {"since": period.since or _EARLY, "until": period.until or _LATE}
                self._database.execute(statement, wanted if "$since" in statement else None)
        except (duckdb.Error, pyarrow.ArrowException, OSError) as error:
            raise ConfigurationError(f"cannot read {folder}: {str(error).splitlines()[0]}") from error
        first, last = self.one(f"SELECT min(first), max(last) FROM ({_EXTENT})")
        if first is None:
            raise ConfigurationError(f"{folder} has nothing in this period; it has rows from {days[0]} to {days[-1]}")
        self.first: datetime = first
        self.last: datetime = last

    def _open(self, folder: Path, table: str, period: Period) -> None:
        """Makes a table from the files of the days in question; an empty one if there are none."""
        first = date.min if period.since is None else period.since.date() - timedelta(days=1)
        last = date.max if period.until is None else period.until.date() + timedelta(days=1)
        days = [path for path in folder.glob(f"{table}/day=*") if (day := folder_day(path)) and first <= day <= last]
        paths = [str(path) for day_folder in sorted(days) for path in current_files(day_folder)]
        names = ", ".join(column.name for column in columns(TABLES[table]))
        if paths:
            files = ", ".join("'{}'".format(path.replace("'", "''")) for path in paths)
            self._database.execute(
                f"CREATE VIEW {table} AS SELECT {names} FROM read_parquet([{files}], hive_partitioning = false)"
            )
            return
        declared = ", ".join(f"{column.name} {_TYPES[column.type]}" for column in columns(TABLES[table]))
        self._database.execute(f"CREATE TABLE {table} ({declared})")

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._database.execute(query).fetchall()

    def one(self, query: str) -> tuple[Any, ...]:
        """The only row of a query."""
        (row,) = self.all(query)
        return row

    def close(self) -> None:
        """Closes the database, frees its memory, and lets the files be joined again."""
        self._resources.close()


_EXTENT = """
SELECT min(coalesce(begun, ended)) AS first, max(coalesce(ended, begun)) AS last FROM crafts
UNION ALL SELECT min(ended), max(ended) FROM waits
UNION ALL SELECT min(time), max(time) FROM shortages
UNION ALL SELECT min(time), max(time) FROM paths
"""
