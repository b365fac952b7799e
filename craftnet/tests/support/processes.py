"""craftnet's own programs, in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import IO, cast
from unittest.mock import patch

from craftnet.access.development import SECRET_VARIABLE
from craftnet.operator.cli import run

SCRIPTS = Path(sysconfig.get_path("scripts"))
PROCESS_TIMEOUT = 30.0
"""Seconds; only a broken program needs them."""
LONGEST_RUN = 120.0
"""Seconds after which a program is killed, however busy the machine is."""


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what configures craftnet."""
    kept = {name: value for name, value in os.environ.items() if name not in (SECRET_VARIABLE, "PORT")}
    return {**kept, **more}


def twistd(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run twistd to its end."""
    return subprocess.run(
        [SCRIPTS / "twistd", *arguments],
        capture_output=True,
        text=True,
        timeout=PROCESS_TIMEOUT,
        env=environment(**more),
        cwd=tempfile.gettempdir(),
    )


class Running:
    """A server, and its output so far."""

    def __init__(self, process: subprocess.Popen[str], output: IO[str]) -> None:
        self.process = process
        self._output = output
        self.text = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read its output to the first line that `pattern` is found in."""
        for line in self._output:
            self.text += line
            match = re.search(pattern, line)
            if match:
                return match
        raise AssertionError(f"{pattern!r} is not in what twistd said:\n{self.text}")

    def read_until_all(self, patterns: Mapping[str, int]) -> None:
        """Read its output until each pattern was found in that many lines: several processes write in any order."""
        left = dict(patterns)
        while left:
            line = self.read_until("|".join(f"(?:{pattern})" for pattern in left)).string
            left = {
                pattern: count
                for pattern, before in left.items()
                if (count := before - (re.search(pattern, line) is not None)) > 0
            }

    def finish(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; answers the exit code."""
        self.process.send_signal(number)
        self.text += self._output.read()
        return self.process.wait(PROCESS_TIMEOUT)


@contextmanager
def running(
    *arguments: str,
    command: Sequence[str] = (str(SCRIPTS / "twistd"),),
    folder: str = "",
    **more: str,
) -> Iterator[Running]:
    """`twistd --nodaemon craftnet …`, in a folder; `command` may have other options of twistd."""
    process = subprocess.Popen(
        [*command, "--nodaemon", "--pidfile=", "craftnet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**more),
        cwd=folder or tempfile.gettempdir(),
    )
    assert process.stdout is not None
    overdue = threading.Timer(LONGEST_RUN, process.kill)  # so that a line that never comes fails a test.
    overdue.start()
    with process, process.stdout:
        try:
            yield Running(process, process.stdout)
        finally:
            overdue.cancel()
            process.kill()


def lives(pid: int) -> bool:
    """Whether there is such a process, zombies aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> set[int]:
    """The processes that `pid` started and that live."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child) for child in listed.split()}


def craftnet_in_process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs an operator's command that needs no reactor in this process, which is much faster than starting another."""
    out, err = StringIO(), StringIO()
    with (
        patch.dict(os.environ, {**environment(), **variables}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            code = run(arguments)
        except SystemExit as refusal:  # of argparse.
            code = cast(int, refusal.code)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def craftnet(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, in a process of its own."""
    command = [sys.executable, "-m", "craftnet.operator.cli", *arguments]
    environ: Mapping[str, str] = {**environment(), **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environ), timeout=60)
