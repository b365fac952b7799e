"""The operators' commands, as they are run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.cli import NO_READER
from craftnet.operator.cli import COMMANDS
from craftnet.server.options.table import OPTIONS
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import craftnet, craftnet_in_process, environment, running


class CommandTests(SynchronousTestCase):
    def test_listed(self) -> None:
        text = craftnet("--help").stdout
        for name in ("watch", "load", *COMMANDS):
            self.assertIn(f"    {name.partition(' ')[0]}", text)

    def test_usage(self) -> None:
        for start, *arguments in (
            (craftnet_in_process, "config"),
            (craftnet_in_process, "config", "--show", "--max-conections", "5"),
            (craftnet, "nonsense"),
        ):
            run = start(*arguments)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertNotIn("Traceback", run.stderr)

    def test_reader_gone(self) -> None:
        """A pager that is closed early is no fault."""
        line = [sys.executable, "-m", "craftnet.operator.cli", "config", "--defaults"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as run:
            assert run.stdout is not None and run.stderr is not None
            run.stdout.close()
            self.assertNotIn(b"Traceback", run.stderr.read())
            self.assertEqual(run.wait(60), NO_READER)


class ConfigurationTests(SynchronousTestCase):
    def file(self, text: str) -> str:
        """A configuration file with this content."""
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return str(path.absolute())

    def test_check(self) -> None:
        """Single values, and what only shows when a service is built."""
        for text, code, words in (
            ("max-connections = 5", 0, "the configuration is valid"),
            ("max-conections = 5", 1, "line 1: there is no option max-conections: did you mean max-connections?"),
            ('backend = "nothing"', 1, "no back end 'nothing'"),
            ('auth = "jwt:key=/nowhere.pem"', 1, "/nowhere.pem"),
            ('origin = "game.example"', 1, "--origin game.example"),
        ):
            run = craftnet_in_process("check-config", self.file(text))
            self.assertEqual(run.returncode, code, run.stdout + run.stderr)
            self.assertIn(words, run.stdout + run.stderr)
            self.assertNotIn("Traceback", run.stderr)
        run = craftnet("check-config", "/nowhere.toml")
        self.assertEqual((run.returncode, "/nowhere.toml cannot be read" in run.stderr), (1, True), run.stderr)

    def test_show(self) -> None:
        file = self.file('workers = 3\nrefresh = 7\nbackend = "workshop:players=3"')
        run = craftnet("config", "--show", "--config", file, "--workers=2", CRAFTNET_REFRESH="8", CRAFTNET_REFRSH="1")
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = run.stdout.splitlines()
        for line in (
            "workers = 2  # the command line",
            "refresh = 8.0  # CRAFTNET_REFRESH",
            f'backend = "workshop:players=3"  # {file}',
            "ping-interval = 30  # default",
            "# warning: the environment variable CRAFTNET_REFRSH has no effect: did you mean CRAFTNET_REFRESH?",
        ):
            self.assertIn(line, lines)
        listed = {name for name, each in OPTIONS.items() if each.option.in_file}
        self.assertEqual(set(tomllib.loads(run.stdout)), listed)

    def test_documents(self) -> None:
        self.assertIn("#max-connections = 20000", craftnet_in_process("config", "--defaults").stdout)
        self.assertIn('"max-connections"', craftnet_in_process("config", "--schema").stdout)


class ServedTests(SynchronousTestCase):
    """A server with a file."""

    def test_file(self) -> None:
        """It takes effect, in workers too; the command line and the environment win."""
        file = Path(self.mktemp()).absolute()
        file.write_text('backend = "workshop:players=3"\nudp = "off"\nworkers = 1\n', encoding="utf-8")
        port = str(reserved_port(self))
        with running("--config", str(file), PORT=port, CRAFTNET_WORKERS="2", CRAFTNET_JWT_SECRET="x" * 40) as server:
            for _ in range(2):
                server.read_until("Back end: .*workshop:players=3")
            self.assertEqual(server.finish(), 0, server.text)

    def test_mistake(self) -> None:
        """One sentence, exit code 1."""
        file = Path(self.mktemp()).absolute()
        file.write_text("max-conections = 5", encoding="utf-8")
        with running("--config", os.path.relpath(file, tempfile.gettempdir()), PORT="0") as server:
            server.read_until("there is no option max-conections: did you mean max-connections?")
            self.assertEqual(server.process.wait(30), 1)
            self.assertNotIn("Traceback", server.text)
