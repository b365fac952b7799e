"""The base of the tests of clients/cpp: its build, and its process."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SkipTest

import craftnet
from craftnet.tests.support.live import in_thread, token
from craftnet.tests.support.samples import PLAYER, SESSION

Event = dict[str, Any]

ROOT = Path(craftnet.__file__).parent.parent
DIRECTORY = ROOT / "clients" / "cpp"
BUILD = ROOT / "build" / "cpp"


@cache
def built() -> Path:
    """The folder with the programs, which are built if they are older than their sources.

    Raises:
        SkipTest: there is no compiler, no CMake, or a header is missing.
        AssertionError: they cannot be built.
    """
    for program in ("cmake", "make", "c++"):
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed")
    for header in ("openssl/evp.h", "lz4.h"):
        look = ["c++", "-x", "c++", "-E", "-include", header, "/dev/null"]
        if subprocess.run(look, capture_output=True, check=False).returncode != 0:
            raise SkipTest(f"{header} is not installed")
    BUILD.parent.mkdir(parents=True, exist_ok=True)
    # Processes that share the tests would otherwise configure the same folder at the same time.
    with open(BUILD.with_suffix(".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "-S", str(DIRECTORY), "-B", str(BUILD)],
            ["cmake", "--build", str(BUILD), "--parallel", "2"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return BUILD


class CppClient:
    """A process of craftnet-watch.

    Arguments:
        options: of the command line, beside the session, the player and the token.
        session: the session.
        environment: variables beside those of this process.

    Attributes:
        passed: the events that were passed over while another one was waited for.
    """

    def __init__(self, url: str, *options: str, session: str = str(SESSION), **environment: str) -> None:
        self._process = subprocess.Popen(
            [
                str(built() / "craftnet-watch"),
                "--url",
                url,
                "--session",
                session,
                "--player",
                str(PLAYER),
                *options,
            ],
            env={**os.environ, "CRAFTNET_TOKEN": token(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.passed: list[Event] = []

    async def read(self) -> Event:
        """The next event; {} when the process has ended."""
        assert self._process.stdout is not None
        line = await in_thread(self._process.stdout.readline)
        event: Event = msgspec.json.decode(line or "{}")
        return event

    async def error(self) -> str:
        """The next line on standard error."""
        assert self._process.stderr is not None
        return await in_thread(self._process.stderr.readline)

    async def until(self, name: str, **wanted: object) -> Event:
        """The next event of this name with these values."""
        self.passed = []
        while True:
            event = await self.read()
            if not event:
                raise AssertionError(f"{name} never came, but {self.passed}")
            if event["event"] == name and wanted.items() <= event.items():
                return event
            self.passed.append(event)

    async def end(self) -> int:
        """The exit status."""
        return await in_thread(self._process.wait)

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self._process.terminate()

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()
