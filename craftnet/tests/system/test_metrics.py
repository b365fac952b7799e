"""Metrics of whole servers: on a port of their own, of several workers, and during a flood of odd requests."""

from __future__ import annotations

import http.client
import re
import ssl
import urllib.request

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import SECRET_VARIABLE
from craftnet.observe.metrics.families import FAMILIES
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import SECRET, LiveTestCase, in_thread
from craftnet.tests.support.live_metrics import LiveMetricsTestCase, families, samples
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import PROCESS_TIMEOUT, running

OF_AN_OPTION = re.compile(r"(only with|absent without) --")
"""In the texts of metrics that a server without the option does not have."""


class OwnPortTests(LiveMetricsTestCase):
    """With --metrics."""

    async def test_every_metric_is_there(self) -> None:
        """Except those of an option that is not given, as their texts say."""
        found = families(await self.metrics())
        declared = {family.base: family.kind for family in FAMILIES}
        self.assertEqual(set(found.items()) - set(declared.items()), set())
        missing = [each.name for each in FAMILIES if each.base not in found and not OF_AN_OPTION.search(each.text)]
        self.assertEqual(missing, [])

    async def test_what_redis_and_tls_are_like(self) -> None:
        text = await self.metrics()
        while not sum(samples(text, "craftnet_redis_round_trip_seconds_count").values()):
            text = await self.metrics()  # the test's timeout is the bound.
        (expiry,) = samples(text, "craftnet_certificate_expiry_timestamp_seconds").values()
        self.assertGreater(expiry, self.clock.wall())
        (limit,) = (
            value for labels, value in samples(text, "craftnet_limit").items() if ("limit", "connections") in labels
        )
        self.assertEqual(limit, self.settings.limits.connections)
        (info,) = samples(text, "craftnet_build_info")
        self.assertEqual([label for label, _ in info], ["openssl", "python", "version"])

    async def test_nowhere_else_and_nothing_else(self) -> None:
        port = int(self.url.rpartition(":")[2])
        (listener,) = (part for part in self.service if getattr(part, "url", None) is not None)

        def status(connection: http.client.HTTPConnection, path: str) -> int:
            connection.request("GET", path)
            return connection.getresponse().status

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        here = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        self.assertEqual(await in_thread(status, here, "/metrics"), 404)
        there = http.client.HTTPConnection(listener.url.removeprefix("http://"))
        self.assertEqual(await in_thread(status, there, "/health"), 404)
        here.close()
        there.close()


class FloodTests(LiveTestCase):
    """Clients that try every method, path and status they can think of."""

    async def test_series_are_bounded(self) -> None:
        host, _, port = self.url.removeprefix("http://").partition(":")

        def flood() -> None:
            for number in range(300):
                path = ("/health", f"/path/{number}", f"/players/{number}/sessions", f"/ws/crafting/{number}")[
                    number % 4
                ]
                self.send_raw(f"METHOD{number} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                self.send_raw(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())

        await in_thread(flood)
        text = await (await self.request("GET", "/metrics")).text()
        requests = samples(text, "craftnet_http_requests_total")
        self.assertGreaterEqual(sum(requests.values()), 600)
        self.assertLess(len(requests), 20, requests)
        self.assertEqual({dict(labels)["method"] for labels in requests}, {"GET", "other"})
        self.assertNotIn("/path", text)
        self.assertIn(
            (("method", "GET"), ("route", "/players/{player_id}/sessions"), ("status", "401")),
            {tuple(sorted(labels)) for labels in requests},
        )


class WorkersTests(SynchronousTestCase):
    """Two workers with --metrics."""

    def test_each_answers_for_all(self) -> None:
        """Whichever worker is asked: one build, two times the limit, and what both have counted."""
        port, http_port = reserved_port(self), reserved_port(self)
        options = ["--workers", "2", "--metrics", f"tcp:{port}:interface=127.0.0.1", "--udp", "off"]
        options += ["--http", f"tcp:{http_port}:interface=127.0.0.1", "--max-connections", "100"]

        def read() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PROCESS_TIMEOUT) as response:
                text: str = response.read().decode()
                return text

        def both() -> bool:
            limits = {dict(labels)["limit"]: value for labels, value in samples(read(), "craftnet_limit").items()}
            return limits.get("connections") == 200

        with running(*options, **{SECRET_VARIABLE: SECRET}) as server:
            for _ in range(2):
                server.read_until("HTTP and WebSocket: ")
            server.read_until(f"Metrics: http://127.0.0.1:{port}/metrics")
            wait_for(both)
            text = read()
            self.assertEqual(list(samples(text, "craftnet_build_info").values()), [1.0])
            self.assertGreater(sum(samples(text, "craftnet_resident_memory_bytes").values()), 40_000_000)
            self.assertEqual(len(samples(text, "craftnet_worker_restarts_total")), 2)
            self.assertEqual(server.finish(), 0)
