"""The operations of the public contract, tried by a schema-driven fuzzer that this project did not write."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, run

from twisted.trial.unittest import SkipTest

from craftnet.access.principal import ADMIN
from craftnet.limits.client_address import NO_NETWORKS
from craftnet.limits.connection_limits import Limits
from craftnet.server.settings import Settings
from craftnet.tests.support.live import LiveTestCase, in_thread, started, token
from craftnet.tests.support.samples import PLAYER

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("st")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
    "allow_header_conformance",
)


class FuzzTestCase(LiveTestCase):
    """A server on which one session runs: every answer is one that `openapi.yaml` describes."""

    timeout = 120

    async def fuzz(self, phases: str, examples: int, *more_checks: str) -> None:
        """Send requests that fit the description, and others; the same ones each time.

        Arguments:
            examples: how many requests to each operation at most, in the phase that makes them up.
        """
        if not PROGRAM.exists():
            raise SkipTest("schemathesis is not installed")
        await self.publish(started())
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        command = [
            *(str(PROGRAM), "--config-file", str(HERE / "schemathesis.toml"), "run", str(HERE / "openapi.yaml")),
            *("--url", self.url, "--header", f"Authorization: Bearer {token(PLAYER, ADMIN)}"),
            *("--phases", phases, "--checks", ",".join((*CHECKS, *more_checks)), "--continue-on-failure"),
            *("--max-examples", str(examples), "--seed", "1", "--generation-database", "none"),
            *("--no-color", "--warnings", "off"),
        ]
        finished = await in_thread(run, command, stdout=PIPE, stderr=STDOUT, cwd=folder, text=True, timeout=100)
        self.assertEqual(finished.returncode, 0, finished.stdout)


class ContractTests(FuzzTestCase):
    """Without rates."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="127.0.0.1:0",
        limits=Limits(health=0, health_batches=0, connects=0, connects_per_player=0),
        drain_time=0.0,
    )

    async def test_contract(self) -> None:
        await self.fuzz("examples,coverage,fuzzing", 30, "ignored_auth")


class RateTests(FuzzTestCase):
    """With rates that most requests are beyond. They come before the token, so that nothing can be said about that."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="127.0.0.1:0",
        limits=Limits(health=0.25, health_batches=0.25, connects=0.25, connects_per_player=0.25, unlimited=NO_NETWORKS),
        drain_time=0.0,
    )

    async def test_contract(self) -> None:
        await self.fuzz("examples,fuzzing", 5)
