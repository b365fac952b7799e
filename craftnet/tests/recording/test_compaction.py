"""Joining the files of finished days: no row is lost or counted twice, wherever it is interrupted."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.parquet
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import SessionComplete
from craftnet.operator.analysis.erasure import erase
from craftnet.operator.analysis.history import Period, RecordedHistory
from craftnet.recording import compaction
from craftnet.recording.compaction import BackgroundCompaction, compact, current_files, locked
from craftnet.recording.description import Description
from craftnet.recording.files import SCHEMAS, RecordingFiles
from craftnet.recording.keys import day_of
from craftnet.recording.rows import PathSample, rows_of
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.observations import ReadableNames
from craftnet.tests.support.recordings import record
from craftnet.tests.support.samples import IRON, NOW, PLAYER, SESSION, start

DAY = 86_400.0
FINISHED = NOW + DAY + compaction.LATE


def add_file(folder: Path, number: int, when: float = NOW) -> None:
    """Adds a file with one sample of a network path: a round trip of this number of milliseconds."""
    description = Description(rotation="month", players=f"{folder}.players")
    files = RecordingFiles(folder, f"w{number}", description)
    files.prepare()
    (row,) = rows_of(PathSample("eu", "udp", number / 1000, 0.0), when, ReadableNames())
    files.publish("network", day_of(when), [row])


class CompactionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()

    def record(self, files: int = 5, first: int = 1) -> None:
        """Adds this number of files of a day."""
        for number in range(first, first + files):
            add_file(self.folder, number)

    @property
    def day(self) -> Path:
        return self.folder / "network" / f"day={day_of(NOW)}"

    def files(self) -> list[Path]:
        return sorted(self.day.glob("*.parquet"))

    def rows(self) -> list[float]:
        """The samples, as a reader that knows nothing of joined files finds them."""
        query = f"SELECT round_trip_ms FROM read_parquet('{self.folder}/network/*/*.parquet')"
        with closing(duckdb.connect(":memory:")) as database:
            return sorted(round(value, 3) for (value,) in database.execute(query).fetchall())

    def analysed(self) -> list[float]:
        """The samples, as `craftnet analyse` finds them."""
        with closing(RecordedHistory(self.folder, Period())) as history:
            return sorted(round(value, 3) for (value,) in history.all("SELECT round_trip_ms FROM paths"))

    def compact(self, now: float = FINISHED) -> list[Any]:
        return list(compact(self.folder, now))

    def test_a_day_becomes_one_file(self) -> None:
        self.record()
        sizes = [path.stat().st_size for path in self.files()]
        rows = self.rows()
        (joined,) = self.compact()
        (path,) = self.files()
        self.assertEqual((joined.table, joined.files, joined.size), ("network", 5, sum(sizes)))
        self.assertEqual((path.stat().st_size, path.name[:7]), (joined.joined_size, "joined-"))
        self.assertEqual((self.rows(), self.analysed()), (rows, rows))
        self.assertTrue(pyarrow.parquet.read_schema(path).equals(SCHEMAS["network"]))
        self.assertEqual(self.compact(), [])

    def test_the_present_day_stays(self) -> None:
        self.record()
        self.assertEqual(self.compact(NOW), [])
        self.assertEqual(self.compact(NOW - NOW % DAY + DAY + compaction.LATE - 1), [])
        self.assertEqual(len(self.files()), 5)

    def test_a_file_that_comes_late_is_joined_the_next_time(self) -> None:
        self.record()
        self.compact()
        self.record(1, first=6)
        (joined,) = self.compact()
        self.assertEqual((joined.files, len(self.files()), len(self.rows())), (2, 1, 6))

    def test_row_groups_are_bounded(self) -> None:
        self.record(7)
        self.patch(compaction, "ROWS", 3)
        self.compact()
        (path,) = self.files()
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        self.assertEqual([metadata.row_group(each).num_rows for each in range(metadata.num_row_groups)], [3, 3, 1])

    def test_large_files_stay(self) -> None:
        """A day becomes as many files as keep each below the bound."""
        self.record(7)
        rows, size = self.rows(), max(path.stat().st_size for path in self.files())
        self.patch(compaction, "MAX_SIZE", 3 * size)
        self.compact()
        self.assertEqual(self.rows(), rows)
        self.assertIn(len(self.files()), (3, 4))
        self.patch(compaction, "MAX_SIZE", 1)
        self.assertEqual(self.compact(), [])

    def test_a_file_of_another_version_stays(self) -> None:
        self.record(2)
        other = self.day / "other.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"more": [1]}), other)
        (joined,) = self.compact()
        self.assertEqual((joined.files, other.exists(), len(self.files())), (2, True, 2))

    def test_a_damaged_file(self) -> None:
        """The files of its day stay; those of other days are joined."""
        self.record(3)
        for number in (1, 2):
            add_file(self.folder, number, NOW + DAY)
        self.files()[1].write_bytes(b"PAR1 damaged")
        before, problems = self.files(), list[str]()
        background = BackgroundCompaction(self.folder, problems.append)
        background.begin(FINISHED + DAY)
        wait_for(lambda: bool(problems))
        background.stop()
        self.assertIn(f"cannot be joined, and stay as they are: a file in {self.day} is damaged", problems[0])
        self.assertEqual(self.files(), before)
        self.assertEqual(len(list(self.folder.glob("network/*/joined-*"))), 1)

    def test_a_crash_after_the_file_appeared(self) -> None:
        """The analysis counts no row twice, and the next time deletes what is replaced."""
        self.record()
        rows = self.rows()
        self.patch(Path, "unlink", _killed)
        self.assertRaises(Killed, self.compact)
        self.assertEqual((len(self.files()), self.analysed()), (6, rows))
        self._end_patches()
        self.assertEqual((self.compact(), len(self.files()), self.rows()), ([], 1, rows))

    def _end_patches(self) -> None:
        self.patch(Path, "unlink", _unlink)

    def test_a_crash_before(self) -> None:
        self.record()
        rows = self.rows()
        self.patch(os, "rename", _killed)
        self.assertRaises(Killed, self.compact)
        self.assertEqual((len(self.files()), self.rows()), (5, rows))

    def test_it_can_be_stopped(self) -> None:
        self.record()
        self.assertEqual(list(compact(self.folder, FINISHED, iter([False, True]).__next__)), [])
        self.assertEqual((len(self.files()), list(self.day.glob(".open-*"))), (5, []))

    def test_one_process_at_a_time(self) -> None:
        self.record()
        for alone in (True, False):
            with locked(self.folder, alone=alone):
                self.assertRaises(BlockingIOError, self.compact)
        with closing(RecordedHistory(self.folder, Period())):
            self.assertRaises(BlockingIOError, self.compact)
            background = BackgroundCompaction(self.folder, self.fail)
            background.begin(FINISHED)
            background.stop()
        self.assertEqual(len(self.compact()), 1)

    def test_a_player_can_still_be_erased(self) -> None:
        """Pseudonyms stay as they were; afterwards the player's key is gone."""
        done = SessionComplete(session_id=SESSION, result_item_id=IRON)
        record(self.folder, [(start(), NOW), (done, NOW + 60)])
        (path,) = (self.folder / "sessions").glob("*/*.parquet")
        rows = pyarrow.parquet.ParquetFile(path).read()
        for number in (0, 1):
            pyarrow.parquet.write_table(rows.slice(number, 1), path.with_name(f"part-{number}.parquet"))
        path.unlink()

        def recorded() -> list[Any]:
            with closing(RecordedHistory(self.folder, Period())) as history:
                return sorted(history.all("SELECT session, event, player FROM sessions"))

        before = recorded()
        self.assertEqual([each.files for each in self.compact()], [2])
        self.assertEqual(recorded(), before)
        self.assertEqual(erase([str(self.folder), "--player", str(PLAYER)], {}), 0)
        self.assertEqual(recorded(), before)


class Killed(BaseException):
    """The process was killed."""


def _killed(*arguments: object, **more: object) -> None:
    raise Killed


_unlink = Path.unlink


class HistoryTests(SynchronousTestCase):
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.lists(st.sampled_from(["file", "compact", "crash before", "crash after", "crash between"]), max_size=12))
    def test_any_history(self, steps: list[str]) -> None:
        """Whatever happens in whatever order, each row is there once."""
        folder = Path(self.mktemp()).absolute()
        expected: Counter[float] = Counter()
        add_file(folder, 1)
        expected[1.0] += 1
        for step in steps:
            if step == "file":
                number = len(expected) + 1
                add_file(folder, number)
                expected[float(number)] += 1
                continue
            deletions = {"crash after": 0, "crash between": 1}.get(step, 1000)
            self._compact(folder, renames=0 if step == "crash before" else 1000, deletions=deletions)
        with closing(RecordedHistory(folder, Period())) as history:
            found = Counter(round(value, 3) for (value,) in history.all("SELECT round_trip_ms FROM paths"))
        self.assertEqual(found, expected)
        self._compact(folder, 1000, 1000)
        (path,) = (folder / "network").glob("*/*.parquet")
        self.assertEqual(current_files(path.parent), [path])

    def _compact(self, folder: Path, renames: int, deletions: int) -> None:
        """Compacts; the process is killed after this number of renames or deletions of recorded files."""
        left = {"rename": renames, "unlink": deletions}

        def limited(name: str, function: Any) -> Any:
            def call(path: Path, *arguments: Any, **more: Any) -> Any:
                if str(path).endswith(".parquet") or name == "rename":
                    if not left[name]:
                        raise Killed
                    left[name] -= 1
                return function(path, *arguments, **more)

            return call

        rename, unlink = os.rename, Path.unlink
        os.rename, Path.unlink = limited("rename", rename), limited("unlink", unlink)  # type: ignore[method-assign]  # a crash.
        try:
            list(compact(folder, FINISHED))
        except Killed:
            pass
        finally:
            os.rename, Path.unlink = rename, unlink  # type: ignore[method-assign]
