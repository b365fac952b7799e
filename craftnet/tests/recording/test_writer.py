"""The writer of recordings: its batches and files, and the whole process with real pipes, files and signals."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import SessionComplete
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.recording import files as files_module
from craftnet.recording import writer as writer_module
from craftnet.recording.description import MARKER, Description, description_of
from craftnet.recording.files import SCHEMAS, RecordingFiles
from craftnet.recording.keys import RecordingKeys, day_of
from craftnet.recording.messages import (
    CODES,
    LENGTH,
    Messages,
    WriterSettings,
    WriterStatus,
    decode_status,
    encode_observations,
)
from craftnet.recording.rows import TABLES, PathSample, rows_of
from craftnet.recording.writer import RETRY, TIDYING, Writer
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.observations import ReadableNames
from craftnet.tests.support.processes import PROCESS_TIMEOUT
from craftnet.tests.support.samples import IRON, NOW, SESSION, start

DAY = 86_400.0


def message(*data: Any, when: float = NOW) -> bytes:
    """Observations as the server sends them."""
    return encode_observations([(CODES[type(each)], when, each) for each in data])


def content(*data: Any) -> bytes:
    """The same without the length."""
    return message(*data)[LENGTH:]


STARTED = (start(), SessionComplete(session_id=SESSION, result_item_id=IRON))


class RecordingCase(SynchronousTestCase):
    """A folder for a recording, and its keys."""

    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        self.folder, self.players = base / "recording", base / "players"
        base.mkdir()

    def files(self, pattern: str = "*.parquet") -> list[Path]:
        """The files of all tables."""
        return sorted(self.folder.glob(f"*/*/{pattern}"))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, as pyarrow reads them."""
        found = [path for path in self.files() if path.parent.parent.name == table]
        return [row for path in found for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


class WriterTests(RecordingCase):
    """In this process, with a set time."""

    def setUp(self) -> None:
        super().setUp()
        players = Pseudonyms(self.players)
        self.addCleanup(players.close)
        self.keys = RecordingKeys(players, "day")
        self.writer = self.started()

    def started(self, days: int = 0, name: str = "w0") -> Writer:
        """A writer."""
        return Writer(self.keys, RecordingFiles(self.folder, name, self.description), 60.0, days)

    @property
    def description(self) -> Description:
        return Description(rotation="day", players=str(self.players))

    def test_batch(self) -> None:
        """A batch becomes one file for each table when its time has come, and no file is there before."""
        self.writer.take(content(*STARTED), NOW)
        self.writer.take(content(PathSample("us-east", "udp", 0.02, 0.0)), NOW + 59)
        self.assertEqual((self.files(), self.writer.status()), ([], WriterStatus()))
        self.writer.turn(NOW + 60)
        status = self.writer.status()
        self.assertEqual((status.written, status.problem), (3, ""))
        self.assertEqual(status.size, sum(path.stat().st_size for path in self.files()))
        self.assertEqual([path.parent.relative_to(self.folder) for path in self.files()], [
            Path("network", f"day={day_of(NOW)}"), Path("sessions", f"day={day_of(NOW)}")
        ])  # fmt: skip
        begun, done = self.rows("sessions")
        self.assertEqual((begun["event"], done["event"]), ("start", "complete"))
        self.assertEqual(begun["session"], done["session"])
        self.assertEqual(begun["time"].timestamp(), NOW)
        self.assertEqual(self.rows("network")[0]["round_trip_ms"], 20.0)
        self.assertEqual((self.writer.status(), self.writer.unwritten), (WriterStatus(), 0))

    def test_schema(self) -> None:
        """Each file has the documented columns and names its format."""
        self.assertEqual(set(SCHEMAS), set(TABLES))
        self.writer.take(content(*STARTED), NOW)
        self.writer.turn(NOW, last=True)
        schema = pyarrow.parquet.ParquetFile(self.files()[0]).schema_arrow
        self.assertEqual(schema, SCHEMAS["sessions"])
        self.assertEqual(schema.metadata[b"craftnet"], b"1")
        self.assertEqual(description_of(self.folder), Description(rotation="day", players=str(self.players)))

    def test_large_batch(self) -> None:
        """Is written at once."""
        self.patch(writer_module, "MAX_BATCH", 1000)
        self.writer.take(content(*STARTED * 499), NOW)
        self.assertEqual(self.writer.status().written, 0)
        self.writer.take(content(*STARTED), NOW)
        self.assertEqual(self.writer.status().written, 1000)

    def test_midnight(self) -> None:
        """Rows are in the folder of the day when they were recorded."""
        before = NOW - NOW % DAY + DAY - 1
        self.writer.take(content(start()), before)
        self.writer.take(content(start()), before + 2)
        self.writer.turn(before, last=True)
        self.assertEqual(
            [path.parent.name for path in self.files()], [f"day={day_of(before)}", f"day={day_of(before + 2)}"]
        )

    def test_fault_of_the_disk(self) -> None:
        """What could not be written is written later, once; no part of a file is left."""
        self.writer.take(content(*STARTED, PathSample(None, "udp", 0.02, 0.0)), NOW)
        failing = [True, False, True]  # the file of sessions, and then, after that is written, the network's.

        def rename(source: Path, target: Path) -> None:
            if source.parent.parent.name in TABLES and failing.pop(0):
                raise OSError(28, "No space left on device")
            os.replace(source, target)

        self.patch(os, "rename", rename)
        self.writer.turn(NOW + 60)
        self.assertEqual(self.writer.problem, "No space left on device")
        self.assertEqual((self.files("*"), self.writer.unwritten), ([], 3))
        self.writer.take(content(start()), NOW + 60.5)
        self.assertEqual(self.writer.unwritten, 4)
        self.writer.turn(NOW + 60 + RETRY / 2)
        self.assertEqual(len(failing), 2)  # it was not tried again yet.
        self.writer.turn(NOW + 60 + RETRY)
        self.assertEqual(len(self.files("*")), 1)
        failing.append(False)
        self.writer.turn(NOW + 60 + 2 * RETRY)
        self.assertEqual((self.writer.problem, self.writer.status().written), ("", 4))
        self.assertEqual((len(self.rows("sessions")), len(self.rows("network"))), (3, 1))

    def test_retention(self) -> None:
        """Days that ended longer ago are deleted; what is no day of a table is not."""
        writer = self.started(days=2)
        kept = self.folder / "sessions" / "notes"
        for ago in range(5):
            folder = self.folder / "sessions" / f"day={day_of(NOW - ago * DAY)}"
            folder.mkdir(parents=True)
            (folder / "w0-1.parquet").write_bytes(b"")
        for path in (kept, self.folder / "other" / "day=2020-01-01", self.folder / "sessions" / "day=2020-99-01"):
            path.mkdir(parents=True)
        writer.turn(NOW)
        left = sorted(path.name for path in self.folder.glob("sessions/day=202[67]*"))
        self.assertEqual(left, [f"day={day_of(NOW - ago * DAY)}" for ago in (2, 1, 0)])
        self.assertTrue(kept.exists())
        self.assertEqual(len(list(self.folder.glob("*/day=2020*"))), 2)

    def test_finished_days_are_joined_every_hour(self) -> None:
        joined: list[float] = []
        writer = Writer(self.keys, RecordingFiles(self.folder, "w1", self.description), 60.0, join=joined.append)
        for seconds in (0, 60, TIDYING, TIDYING + 60):
            writer.turn(NOW + seconds)
        self.assertEqual(joined, [NOW, NOW + TIDYING])

    def test_remains_of_a_crash(self) -> None:
        """Are removed, unless another writer may be writing them."""
        folder = self.folder / "sessions" / "day=2027-01-15"
        folder.mkdir(parents=True)
        for name, age in ((".open-w1-1", 60), (".open-w1-2", files_module.ABANDONED + 60)):
            (folder / name).write_bytes(b"PAR1")
            os.utime(folder / name, (time.time() - age,) * 2)
        self.writer.turn(NOW)
        self.assertEqual([path.name for path in self.files(".open*")], [".open-w1-1"])


class ProcessTests(RecordingCase):
    """The process itself."""

    def started(self, interval: float = 60.0) -> subprocess.Popen[bytes]:
        """A writer."""
        settings = WriterSettings(str(self.folder), str(self.players), interval=interval)
        process = subprocess.Popen(
            [sys.executable, "-m", "craftnet.recording.writer", msgspec.json.encode(settings).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def send(self, process: subprocess.Popen[bytes], *data: Any) -> None:
        """Sends observations."""
        assert process.stdin is not None
        process.stdin.write(message(*data))
        process.stdin.flush()

    def statuses(self, process: subprocess.Popen[bytes], *, until: str | int) -> list[WriterStatus]:
        """The reports up to one of a problem that contains a text, or to the number of observations written."""
        assert process.stdout is not None
        messages, found = Messages(), list[WriterStatus]()
        while octets := os.read(process.stdout.fileno(), 65_536):
            found += map(decode_status, messages.feed(octets))
            if isinstance(until, int) and sum(status.written for status in found) >= until:
                return found
            if isinstance(until, str) and any(until in status.problem for status in found):
                return found
        raise AssertionError(f"the writer ended: {found}")

    def test_end_of_the_server(self) -> None:
        """Whether it stops or crashes: the open batch is written. Signals to the whole group do not end the writer."""
        process = self.started()
        wait_for((self.folder / MARKER).exists)
        self.assertEqual(description_of(self.folder).players, str(self.players))
        self.send(process, *STARTED)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        out, err = process.communicate(timeout=PROCESS_TIMEOUT)
        self.assertEqual((process.returncode, err), (0, b""))
        self.assertEqual(sum(decode_status(each).written for each in Messages().feed(out)), 2)
        self.assertEqual(len(self.rows("sessions")), 2)

    def test_joins_the_files_of_finished_days(self) -> None:
        """While it takes observations; what it wrote today stays."""
        description = Description(rotation="day", players=str(self.players))
        folder = self.folder / "network" / "day=2026-01-15"
        names = ReadableNames()
        for number in range(3):
            rows = list(rows_of(PathSample("eu", "udp", number / 1000, 0.0), NOW, names))
            RecordingFiles(self.folder, f"w{number}", description).publish("network", "2026-01-15", rows)
        process = self.started(interval=0.01)
        self.send(process, *STARTED)
        self.statuses(process, until=2)
        wait_for(lambda: len(list(folder.glob("*.parquet"))) == 1)
        self.assertEqual(len(self.rows("network")), 3)
        _, err = process.communicate(timeout=PROCESS_TIMEOUT)
        self.assertEqual((process.returncode, err, len(self.rows("sessions"))), (0, b"", 2))

    def test_killed(self) -> None:
        """Loses its open batch; the files that are there are whole."""
        process = self.started(interval=0.01)
        self.send(process, *STARTED)
        self.statuses(process, until=2)
        process.kill()
        process.wait()
        self.assertEqual(len(self.rows("sessions")), 2)

    def test_full_disk(self) -> None:
        """The writer says so, keeps its batch, and writes it when there is room."""
        process = self.started(interval=0.01)
        self.send(process, start())
        self.statuses(process, until=1)
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, hard))
        self.send(process, *STARTED)
        self.statuses(process, until="File too large")
        self.assertEqual(len(self.files("*")), 1)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        self.statuses(process, until=2)
        self.assertEqual(len(self.rows("sessions")), 3)

    def test_full_disk_at_the_end(self) -> None:
        """The writer says how many observations are lost."""
        process = self.started()
        wait_for((self.folder / MARKER).exists)
        self.send(process, *STARTED)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
        _, err = process.communicate(timeout=PROCESS_TIMEOUT)
        self.assertEqual((process.returncode, err), (1, b"2 observations could not be written and are lost\n"))
        self.assertEqual(self.files("*"), [])
