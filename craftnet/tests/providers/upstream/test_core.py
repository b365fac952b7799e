"""The back end of an edge on a whole core in this process, whose clock the test moves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast
from uuid import uuid4

import jwt

from craftnet.access.principal import RELAY
from craftnet.client.core.credentials import Credentials, from_file
from craftnet.clocks import IClock
from craftnet.errors import Unavailable
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.upstream.backend import UpstreamBackend, UpstreamSettings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import SECRET, LiveTestCase, started
from craftnet.tests.support.samples import SESSION


class CoreTests(LiveTestCase):
    def token(self, token_id: str, seconds: int = 60) -> str:
        """A token for the edge, by the core's clock."""
        claims = {"exp": int(self.clock.wall()) + seconds, "scope": RELAY, "jti": token_id}
        return jwt.encode(claims, SECRET, "HS256")

    async def edge(self, credentials: Credentials, metrics: Metrics) -> UpstreamBackend:
        """An edge that follows the core."""
        backend = UpstreamBackend(cast(IClock, self.clock), UpstreamSettings(self.url, linger=3600.0), credentials)
        backend.report_upstream_to(metrics.upstream)
        backend.service.startService()
        self.addCleanup(backend.service.stopService)
        await until(lambda: not backend.sessions.stalled)
        return backend

    async def test_core_closes_while_the_edge_asks(self) -> None:
        """What the edge asks on a connection that is being closed is refused, and nothing is logged as a fault."""
        backend = await self.edge(Credentials(self.token("t-0")), Metrics())

        def asks() -> str:
            backend.sessions.get(uuid4()).addErrback(lambda failure: failure.trap(Unavailable))
            return backend.sessions.stalled

        await self.service.feeds.drain(0.0)
        await until(asks)
        self.assertIn("cannot be followed", backend.sessions.stalled)

    async def test_token_is_renewed_from_its_file(self) -> None:
        """On the open connection, which outlives each token."""
        path = Path(self.mktemp())
        path.write_text(self.token("t-0"))
        metrics = Metrics()
        backend = await self.edge(from_file(str(path)), metrics)
        for fresh in ("t-1", "t-2"):
            path.write_text(self.token(fresh, 120))
            for _ in range(12):  # less than the time without an octet after which an edge gives a connection up.
                before = self.answers(metrics)
                self.clock.advance(5.0)
                await until(lambda: self.answers(metrics) > before)  # noqa: B023  # called at once.
            await until(partial(self.has, fresh))
        self.assertEqual(metrics.registry.get_sample_value("craftnet_upstream_reconnects_total"), 0)
        await self.publish(started())
        state = await backend.sessions.get(SESSION)
        assert state is not None
        self.assertEqual(state.session_id, SESSION)

    def answers(self, metrics: Metrics) -> float:
        """How often the core has answered what its clock shows."""
        return metrics.registry.get_sample_value("craftnet_upstream_round_trip_seconds_count") or 0.0

    def has(self, token_id: str) -> bool:
        """Whether the core's only connection has this token."""
        return [each.principal.token_id for each in self.service.feeds.open] == [token_id]
