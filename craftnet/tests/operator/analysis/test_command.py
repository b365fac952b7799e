"""`craftnet analyse` as an operator runs it: tables, CSV, the page, mistakes, and the erasure of a player."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sys
import time
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import mkdtemp

import pyarrow.parquet
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import SessionComplete
from craftnet.errors import ConfigurationError
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.operator.analysis.command import analyse
from craftnet.operator.analysis.compaction import compact_recording
from craftnet.operator.analysis.erasure import erase
from craftnet.operator.analysis.questions import QUESTIONS
from craftnet.recording.compaction import locked
from craftnet.recording.description import MARKER
from craftnet.recording.keys import RecordingKeys
from craftnet.recording.rows import PathSample
from craftnet.tests.support.processes import craftnet
from craftnet.tests.support.recordings import record, workshop_events
from craftnet.tests.support.samples import IRON, NOW, OTHER_PLAYER, PLAYER, RECIPE, SESSION, start

HOSTILE = "<script>alert('steel') & more</script>"

VOID = {"meta", "br", "line", "rect", "circle"}


class PageReader(HTMLParser):
    """Reads a page, and notes what is wrong with it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As in `HTMLParser`."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As in `HTMLParser`."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """As in `HTMLParser`."""
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data: str) -> None:
        """As in `HTMLParser`."""
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each of these elements."""
        return [attributes for name, attributes in self.tags if name == tag]


class CommandCase(SynchronousTestCase):
    """Runs the command in this process."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.folder = self.base / "recording"

    def run_analyse(self, *arguments: str) -> str:
        """What is printed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(analyse([str(self.folder), *arguments], {}), 0)
        return out.getvalue()

    def refused(self, *arguments: str) -> str:
        """Why the command fails."""
        return str(self.assertRaises(ConfigurationError, analyse, [str(self.folder), *arguments], {}))


@cache
def ten_minutes() -> Path:
    """The recording of ten minutes in the workshop, in trial's folder."""
    observed = [(event.data, event.when) for event in workshop_events(10, 600, NOW)]
    sample = PathSample("us-east", "udp", 0.03, 0.0, 0.001), NOW + 600
    return record(Path(mkdtemp(dir=".")).absolute() / "designer's recording", [*observed, sample])


class OutputTests(CommandCase):
    """Of ten minutes in the workshop."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = ten_minutes()

    def test_tables(self) -> None:
        text = self.run_analyse()
        self.assertRegex(text, r"^Recorded from 2027-01-15 \d\d:\d\d to 2027-01-15 08:10 UTC\n")
        for words in ("Of ", "crafts that ended", "Interruptions by reason", "Waits by station", "us-east"):
            self.assertIn(words, text)
        self.assertLess(max(map(len, text.splitlines())), 141)

    def test_csv(self) -> None:
        """Every number as it is, with its unit in the heading."""
        printed = self.run_analyse("--csv", str(self.base / "csv"), "--only", "completion", "--only", "network")
        files = sorted((self.base / "csv").iterdir())
        self.assertEqual(printed.split(), list(map(str, files)) if files == sorted(files) else [])
        self.assertEqual([path.stem for path in files], ["completion", "completion_by_recipe", "network"])
        with open(files[2], encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        self.assertEqual((row["region"], row["samples"], row["median_round_trip_ms"]), ("us-east", "1", "30.0"))
        with open(files[0], encoding="utf-8", newline="") as file:
            self.assertAlmostEqual(sum(float(row["share"]) for row in csv.DictReader(file)), 1)

    def test_page(self) -> None:
        """A whole page in one file: described charts, nothing from the network, no scripts."""
        names = self.base / "names.json"
        names.write_text(json.dumps(dict.fromkeys(self.materials(), HOSTILE)))
        page = self.base / "report.html"
        self.run_analyse("--html", str(page), "--title", "January <1>", "--names", str(names))
        text, reader = page.read_text(), PageReader()
        reader.feed(text)
        self.assertEqual((reader.open, reader.problems), ([], []))
        self.assertIn("<title>January &lt;1&gt;</title>", text)
        self.assertEqual(reader.named("script"), [])
        self.assertIn(HOSTILE, reader.text)
        self.assertNotRegex(text, "(?:src|href)=.(?!#)|@import|url\\(")
        self.assertNotRegex(text, r"None|\d\.\d{4}")  # every value is written for people.
        charts = reader.named("svg")
        self.assertEqual(len(charts), 8)
        described = {each["id"] for tag in ("title", "desc") for each in reader.named(tag) if "id" in each}
        for chart in charts:
            self.assertEqual(chart["role"], "img")
            self.assertLessEqual(set(str(chart["aria-labelledby"]).split()), described)
        self.assertEqual(len(reader.named("table")), len(charts))  # what a chart shows can be read as well.
        self.assertEqual({each["id"] for each in reader.named("section")}, set(QUESTIONS))

    def materials(self) -> set[str]:
        """The materials that were short."""
        paths = self.folder.glob("materials/*/*")
        return {row["material"] for path in paths for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()}


class CompactionTests(CommandCase):
    def run_compact(self) -> str:
        """What `craftnet analyse compact` prints."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(compact_recording([str(self.folder)], {}), 0)
        return out.getvalue()

    def test_the_figures_stay_the_same(self) -> None:
        shutil.copytree(ten_minutes(), self.folder)
        before = self.run_analyse()
        self.assertEqual(self.run_compact(), "No finished day has files to join.\n")  # all of it is in the future.
        self.patch(time, "time", lambda: NOW + 2 * 86_400)
        for path in list(self.folder.glob("*/*/*.parquet")):
            rows = pyarrow.parquet.ParquetFile(path).read()
            half = rows.num_rows // 2
            pyarrow.parquet.write_table(rows.slice(half), path.with_name("second.parquet"))
            pyarrow.parquet.write_table(rows.slice(0, half), path)
        printed = self.run_compact()
        self.assertRegex(printed, r"sessions 2027-01-15: 2 files of [\d,]+ bytes are now one of [\d,]+ bytes")
        self.assertEqual(self.run_analyse(), before)
        with locked(self.folder, alone=False):
            error = self.assertRaises(ConfigurationError, self.run_compact)
        self.assertIn("is read or compacted by another process", str(error))


class MistakeTests(CommandCase):
    def test_folders(self) -> None:
        """Each has an error of its own, which says what to do."""
        self.assertIn("is not a folder", self.refused())
        self.folder.mkdir()
        self.assertIn("is empty: start a server with --record", self.refused())
        (self.folder / "notes.txt").write_text("")
        self.assertIn("is not a recording: it has no recording.json", self.refused())
        marker = self.folder / MARKER
        for content, error in (
            ("[]", "is not the description of a recording"),
            ("{", "is not the description of a recording"),
            ('{"craftnet_recording": 9}', "is a recording of format 9, and this version of craftnet reads format 1"),
            ('{"craftnet_recording": 1, "rotation": "day", "players": "x"}', "has no rows yet"),
        ):
            marker.write_text(content)
            self.assertIn(error, self.refused())

    def test_damaged_file(self) -> None:
        record(self.folder, [(start(), NOW)])
        (path,) = self.folder.glob("sessions/*/*")
        path.write_bytes(path.read_bytes()[:100])
        self.assertRegex(self.refused(), f"cannot read {self.folder}: .*{path.name}")

    def test_options(self) -> None:
        record(self.folder, [(start(), NOW)])
        self.assertIn("is not before --until", self.refused("--since", "2027-01-16", "--until", "2027-01-16"))
        self.assertIn("it has rows from 2027-01-15 to 2027-01-15", self.refused("--since", "2027-02-01"))
        names = self.base / "names"
        self.assertIn("cannot read", self.refused("--names", str(names)))
        names.write_text("[1]")
        self.assertIn("is not a JSON object of texts by id", self.refused("--names", str(names)))
        self.assertIn("cannot write", self.refused("--html", str(self.base / "none" / "page.html")))

    def test_missing_extra(self) -> None:
        record(self.folder, [(start(), NOW)])
        self.patch(sys, "path", [])
        self.patch(sys, "modules", {name: each for name, each in sys.modules.items() if "duckdb" not in name})
        self.assertEqual(self.refused(), "craftnet analyse needs DuckDB: pip install 'craftnet[analysis]'")

    def test_command_line(self) -> None:
        """What is wrong is one line on stderr, with exit code 2."""
        done = craftnet("analyse", str(self.folder))
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(
            done.stderr, r"^craftnet analyse: .+ is not a folder: name the folder of a server's --record\n$"
        )


class ErasureTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        record(self.folder, [(start(), NOW), (SessionComplete(session_id=SESSION, result_item_id=IRON), NOW + 60)])
        self.keys = Path(f"{self.folder}.players")

    def run_erase(self, *arguments: str) -> str:
        """What is printed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(erase([str(self.folder), *arguments], {}), 0)
        return out.getvalue()

    def test_erasure(self) -> None:
        """The rows stay, and neither the player nor the session can be found by its id any more."""
        rows = [
            row
            for path in self.folder.glob("sessions/*/*")
            for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()
        ]

        def pseudonyms() -> tuple[bytes, bytes]:
            players = Pseudonyms(self.keys)
            names = RecordingKeys(players, "month").names(NOW, [PLAYER])
            players.close()
            return names.player(PLAYER), names.session(SESSION)

        self.assertEqual((rows[0]["player"], rows[0]["session"]), pseudonyms())
        text = self.run_erase("--player", str(PLAYER), "--player", str(OTHER_PLAYER))
        self.assertIn(f"{PLAYER}: the key is destroyed\n{OTHER_PLAYER}: there is no key\n", text)
        player, session = pseudonyms()
        self.assertNotIn(player, {row["player"] for row in rows})
        self.assertNotIn(session, {row["session"] for row in rows})
        self.assertIn("Of 1 craft that ended, 100.0 % were completed.", self.run_analyse("--only", "completion"))
        self.assertIn(str(RECIPE), self.run_analyse("--only", "completion"))

    def test_keys_of_the_audit_log(self) -> None:
        """A file with the keys of both serves both."""
        players = Pseudonyms(self.keys)
        known = players.of([PLAYER])
        self.run_erase("--player", str(PLAYER))
        self.assertNotEqual(players.of([PLAYER]), known)
        players.close()

    def test_missing_keys(self) -> None:
        self.keys.unlink()
        error = self.assertRaises(ConfigurationError, erase, [str(self.folder), "--player", str(PLAYER)], {})
        self.assertIn("run this on the server's machine, or name the file with --players", str(error))
