"""The protocols as clients/cpp speaks them: a core in C++17 for game clients."""

from __future__ import annotations

import os

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from craftnet.tests.cpp import ROOT, built


class CoreTests(TestCase):
    """What needs no server."""

    timeout = 600

    async def test_core(self) -> None:
        """The core's own tests, and all of vectors.json."""
        environment = {**os.environ, "CRAFTNET_VECTORS": str(ROOT / "protocol" / "vectors.json")}
        output, errors, status = await getProcessOutputAndValue(str(built() / "craftnet-tests"), [], environment)
        self.assertEqual(status, 0, (output + errors).decode())
