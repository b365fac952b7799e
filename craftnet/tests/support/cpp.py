"""The base of the tests of clients/cpp: its build, and its process."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SkipTest

import craftnet
from craftnet.tests.support.client_process import ClientProcess, Event
from craftnet.tests.support.samples import PLAYER, SESSION

ROOT = Path(craftnet.__file__).parent.parent
DIRECTORY = ROOT / "clients" / "cpp"
BUILD = ROOT / "build" / "cpp"
PROGRAMS = ("craftnet-tests", "craftnet-watch", "craftnet-size", "craftnet-bench")
"""All but `craftnet-clash`, which only has to compile: `make test-cpp` and `make check-cpp` build it."""


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
            ["cmake", "--build", str(BUILD), "--parallel", "2", "--target", *PROGRAMS],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return BUILD


class CppClient(ClientProcess):
    """A process of craftnet-watch.

    Arguments:
        options: of the command line, beside the session, the player and the token.
        session: the session.
        environment: variables beside those of this process.
    """

    def __init__(self, url: str, *options: str, session: str = str(SESSION), **environment: str) -> None:
        program = str(built() / "craftnet-watch")
        words = [program, "--url", url, "--session", session, "--player", str(PLAYER), *options]
        super().__init__(words, **environment)

    async def until(self, name: str, **wanted: object) -> Event:
        """The next event of this name with these values."""
        return await self.find(name, lambda event: event["event"] == name and wanted.items() <= event.items())
