"""The limit of open files, in separate processes, because a lowered limit cannot be raised again."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import TestCase

from craftnet.runtime.sockets import SPARE_FILES


class RaiseLimitTests(TestCase):
    """`raise_open_files_limit`."""

    def limits(self, soft: int, hard: int, connections: int) -> tuple[int, str]:
        """The soft limit after raising it, and the result."""
        program = (
            "import resource; from craftnet.runtime.sockets import raise_open_files_limit\n"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
            f"answer = raise_open_files_limit({connections})\n"
            "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], answer)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        limit, answer = done.stdout.split()
        return int(limit), answer

    def test_raised_to_what_is_needed(self) -> None:
        """And no further."""
        self.assertEqual(self.limits(256, 4000, 1000), (1000 + SPARE_FILES, "None"))

    def test_raised_as_far_as_it_goes(self) -> None:
        """It says how many fit."""
        self.assertEqual(self.limits(256, 1000, 5000), (1000, str(1000 - SPARE_FILES)))

    def test_enough_already(self) -> None:
        """Nothing is lowered."""
        self.assertEqual(self.limits(3000, 4000, 1000), (3000, "None"))

    def test_no_limit_of_connections(self) -> None:
        """Then as many as the system allows."""
        self.assertEqual(self.limits(256, 2000, 0), (2000, "None"))
