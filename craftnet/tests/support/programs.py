"""Programs that others wrote, which a machine may not have: a test that needs a missing one is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from twisted.trial.unittest import SkipTest

TIME_LIMIT = 120.0
"""Seconds for a program to end; only a broken one, or a compiler on a busy machine, needs them."""


def program(name: str) -> str:
    """The path of a program.

    Raises:
        SkipTest: it is not installed.
    """
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


def output(name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without input; it may fail. `options` are those of `subprocess.run`."""
    return subprocess.run(
        [program(name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=TIME_LIMIT,
        **options,
    )
