"""The `craftnet` command of operators, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from craftnet.tests.support.processes import environment


def craftnet(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    command = [sys.executable, "-m", "craftnet.operator.cli", *arguments]
    environ: Mapping[str, str] = {**environment(), **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environ), timeout=60)
