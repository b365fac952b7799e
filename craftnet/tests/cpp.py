"""What the tests of clients/cpp stand on: its build."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SkipTest

import craftnet

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
    for command in (["cmake", "-S", str(DIRECTORY), "-B", str(BUILD)], ["cmake", "--build", str(BUILD)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return BUILD
