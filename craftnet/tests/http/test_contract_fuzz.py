"""The operations of the served OpenAPI document, tried by a schema-driven fuzzer that this project did not write."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, run
from urllib.parse import urlsplit

import msgspec
from twisted.trial.unittest import SkipTest

from craftnet.access.principal import ADMIN
from craftnet.http.operations import UNLISTED_STATUSES
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
    """A server on which one session runs: every answer is one that the document describes."""

    timeout = 400

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
            *(str(PROGRAM), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{self.url}/openapi.json"),
            *("--url", self.url, "--header", f"Authorization: Bearer {token(PLAYER, ADMIN)}"),
            *("--phases", phases, "--checks", ",".join((*CHECKS, *more_checks)), "--continue-on-failure"),
            *("--max-examples", str(examples), "--seed", "1", "--generation-database", "none"),
            *("--no-color", "--warnings", "off", "--report-har-path", "traffic.har"),
            *("--exclude-path-regex", "^/(sse/|revocations$)"),  # without end; of the token itself.
        ]
        finished = await in_thread(run, command, stdout=PIPE, stderr=STDOUT, cwd=folder, text=True, timeout=300)
        self.assertEqual(finished.returncode, 0, finished.stdout)
        await self.check_statuses(folder / "traffic.har")

    async def check_statuses(self, traffic: Path) -> None:
        """Every status is one that the operation lists, not only one of `default`."""
        paths = (await (await self.request("GET", "/openapi.json")).json())["paths"]
        templates = {re.compile(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(path))): path for path in paths}
        unlisted = set()
        for entry in msgspec.json.decode(traffic.read_bytes())["log"]["entries"]:
            where, method = urlsplit(entry["request"]["url"]).path, entry["request"]["method"].lower()
            found = [path for form, path in templates.items() if form.fullmatch(where) and method in paths[path]]
            status = entry["response"]["status"]
            if found and status not in UNLISTED_STATUSES and str(status) not in paths[found[0]][method]["responses"]:
                unlisted.add((method, found[0], status))
        self.assertEqual(unlisted, set())


class ContractTests(FuzzTestCase):
    """Without rates."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1",
        udp="127.0.0.1:0",
        limits=Limits(health=0, health_batches=0, connects=0, connects_per_player=0),
        drain_time=0.0,
    )

    async def test_contract(self) -> None:
        await self.fuzz("examples,fuzzing", 10, "ignored_auth")

    async def test_all_cases(self) -> None:
        """What no example covers: thousands of requests."""
        if not os.environ.get("CRAFTNET_TEST_API"):
            raise SkipTest("`make test-api` runs it: it takes most of a minute")
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
