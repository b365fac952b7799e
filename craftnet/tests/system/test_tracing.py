"""Traces of a running service, of `twistd craftnet`, and of two nodes that share Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any
from urllib.request import Request, urlopen

import msgspec
from msgspec import defstruct, structs
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.clocks import steady
from craftnet.contract.messages import rfc3339
from craftnet.crafting.state import SessionState
from craftnet.server.build import build
from craftnet.server.service import Craftnet
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import SECRET, LiveTestCase, started, token
from craftnet.tests.support.otlp_collector import Collector, attributes, collector_for
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import running as process
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER, SESSION
from craftnet.tests.support.samples import running as running_state

TRACE, SPAN = "ab" * 16, "cd" * 8
PARENT = f"00-{TRACE}-{SPAN}-01"


class TracedCase(LiveTestCase):
    share = 0.0

    def setUp(self) -> None:
        self.collector: Collector = collector_for(self)
        self.settings = replace(self.settings, otlp=self.collector.url, trace_sample=self.share)
        super().setUp()

    async def post(self, *events: dict[str, Any], **fields: str) -> None:
        """Posts events as the authority."""
        headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json", **fields}
        answer = await self.request("POST", "/events", headers=headers, data=msgspec.json.encode(events))
        self.assertEqual(answer.code, 202, await answer.text())
        await answer.content()


class EventTests(TracedCase):
    async def test_from_request_to_delivery(self) -> None:
        """The spans of an event, in the trace of the authority's request."""
        await self.post(started())
        watcher = await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        await watcher.receive()
        data = {"session_id": str(SESSION), "pause_reason": "player_afk"}
        cause = "5b0b4bb2-3f0d-4c64-9c53-0d3f3b1f6a11"
        pause = {**started(), "event_type": "crafting.session.pause", "data": data, "correlation_id": cause}
        await self.post(pause, traceparent=PARENT)
        await watcher.receive()
        await self.stop()
        spans = {span.name: span for span in self.collector.spans}
        self.assertEqual(sorted(spans), ["apply", "delivery", "event", "feed"])
        self.assertEqual({span.trace_id.hex() for span in spans.values()}, {TRACE})
        self.assertEqual(spans["event"].parent_span_id.hex(), SPAN)
        self.assertEqual(attributes(spans["event"])["craftnet.correlation_id"], cause)
        self.assertEqual(attributes(spans["event"])["craftnet.event.verdict"], "accepted")
        self.assertEqual(spans["feed"].parent_span_id, spans["event"].span_id)
        self.assertEqual(spans["delivery"].parent_span_id, spans["feed"].span_id)
        self.assertEqual(self.collector.resources[0]["service.name"], "craftnet")

    async def test_not_sampled(self) -> None:
        """Neither by the share, nor because a client wants it."""
        await self.post(started(), traceparent=PARENT.removesuffix("1") + "0")
        headers = {"Authorization": f"Bearer {token()}", "traceparent": PARENT}
        await self.request("GET", f"/ws/queue/{PLAYER}", headers=headers)
        await self.stop()
        self.assertEqual(self.collector.spans, [])


class RequestTests(TracedCase):
    share = 1.0

    async def test_requests(self) -> None:
        """A handshake and a refused request, linked to what the clients name."""
        await self.post(started())
        await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        await self.request("GET", f"/ws/queue/{PLAYER}", headers={"traceparent": PARENT})
        body = {"player_id": str(PLAYER), "client_version": "1.0.0"}
        connect = f"/udp/sessions/{SESSION}/connect"
        answer = await self.request("POST", connect, headers={"Authorization": f"Bearer {token()}"}, json=body)
        self.assertEqual(answer.code, 200)
        await self.stop()
        (handshake,) = self.collector.named("handshake")
        self.assertEqual(attributes(handshake)["craftnet.transport"], "websocket")
        refused = next(span for span in self.collector.named("request") if span.links)
        self.assertEqual((refused.links[0].trace_id.hex(), refused.links[0].span_id.hex()), (TRACE, SPAN))
        self.assertNotEqual(refused.trace_id.hex(), TRACE)
        self.assertEqual(attributes(refused)["http.response.status_code"], 401)
        (connected,) = self.collector.named("connect")
        self.assertEqual(attributes(connected)["http.route"], "/udp/sessions/*/connect")
        for span in self.collector.spans:
            self.assertNotIn(str(PLAYER), str(span))


class TwoNodeTests(TracedCase):
    """The trace goes on at the node where the watcher is."""

    def setUp(self) -> None:
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        self.settings = replace(self.settings, backend=f"redis:port={redis.port}:prefix=traced")
        super().setUp()
        self.other: Craftnet = build(self.settings, steady(reactor), {SECRET_VARIABLE: SECRET})
        self.other.privilegedStartService()
        self.other.startService()
        self.addCleanup(self.other.stopService)

    async def test_through_redis(self) -> None:
        """The session was written by the other node, so this one reads it."""
        here, there = self.url, self.other.listener.url
        self.url, self.ws_url = there, there.replace("http", "ws", 1)
        await self.post(started())
        watcher = await self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}", token())
        await watcher.receive()
        self.url = here
        data = {"session_id": str(SESSION), "pause_reason": "player_afk"}
        await self.post({**started(), "event_type": "crafting.session.pause", "data": data}, traceparent=PARENT)
        await watcher.receive()
        await until(lambda: bool(self.collector.named("delivery")))
        await self.stop()
        names = sorted(span.name for span in self.collector.spans)
        self.assertEqual(names, ["apply", "delivery", "event", "feed", "redis commit", "redis read"])
        self.assertEqual({span.trace_id.hex() for span in self.collector.spans}, {TRACE})
        (event,) = self.collector.named("event")
        for name in ("feed", "redis commit", "redis read"):
            self.assertEqual(self.collector.named(name)[0].parent_span_id, event.span_id)


class EventStreamTests(TracedCase):
    """Events that the authority adds to Redis itself."""

    share = 1.0

    def setUp(self) -> None:
        self.redis = RedisServer()
        self.addCleanup(self.redis.stop)
        self.redis.start()
        self.settings = replace(self.settings, backend=f"redis:port={self.redis.port}:prefix=traced")
        super().setUp()

    async def test_trace_of_the_event(self) -> None:
        """The event belongs to the trace that it names."""
        self.redis.command("XADD", "traced:events", "*", "event", msgspec.json.encode({**started(), "trace_id": TRACE}))
        await until(lambda: bool(self.collector.named("event")))
        await self.stop()
        (event,) = self.collector.named("event")
        self.assertEqual((event.trace_id.hex(), event.parent_span_id), (TRACE, b""))
        self.assertEqual({span.trace_id.hex() for span in self.collector.named("redis commit")}, {TRACE})


class StoredFormatTests(SynchronousTestCase):
    """What is stored in Redis can be read by versions that know no traces, and the other way round."""

    def test_untraced_state(self) -> None:
        """It is what it was, byte for byte."""
        self.assertNotIn(b"trace", msgspec.json.encode(running_state()))

    def test_old_and_new(self) -> None:
        traced = structs.replace(running_state(), trace=PARENT)
        old = defstruct(
            "SessionState",
            [(field.name, field.type, field.default) if not field.required else (field.name, field.type)
             for field in structs.fields(SessionState) if field.name != "trace"],
            frozen=True,
        )  # fmt: skip
        read: Any = msgspec.json.decode(msgspec.json.encode(traced), type=old)
        self.assertEqual(read.version, traced.version)
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(read), type=SessionState), running_state())
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(traced), type=SessionState), traced)


class ProcessTests(SynchronousTestCase):
    """As an operator runs it."""

    def test_twistd(self) -> None:
        """A collector that comes late gets what waits; the last spans are exported at the end."""
        collector, port = collector_for(self), reserved_port(self)
        options = ["--http", f"tcp:{port}:interface=127.0.0.1", "--udp", "off"]
        options += ["--otlp", collector.url, "--trace-sample", "1"]
        with process(*options, CRAFTNET_JWT_SECRET=SECRET) as server:
            server.read_until("Press Ctrl-C|listening|http://127")
            bearer = sign_token(SECRET.encode(), None, [PUBLISH], 600.0, time.time())
            ask = Request(
                f"http://127.0.0.1:{port}/events",
                data=msgspec.json.encode({**started(), "timestamp": rfc3339(time.time())}),
                headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
            )
            with urlopen(ask, timeout=10) as answer:
                self.assertEqual(answer.status, 202)
            self.assertEqual(server.finish(), 0)
        self.assertEqual(sorted(span.name for span in collector.spans), ["apply", "event", "request"])

    def test_off(self) -> None:
        """OpenTelemetry is not imported."""
        script = "import sys, craftnet.tap; print([name for name in sys.modules if name.startswith('opentelemetry')])"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout.strip(), "[]", done.stderr)

    def test_without_the_extra(self) -> None:
        """The error says what to install."""
        script = (
            "import sys; sys.modules['opentelemetry.sdk'] = None\n"
            "from twisted.internet import reactor\n"
            "from craftnet.clocks import steady\n"
            "from craftnet.server.build import build\n"
            "from craftnet.server.settings import Settings\n"
            "from craftnet.errors import ConfigurationError\n"
            "try:\n    build(Settings(otlp='http://127.0.0.1:4318'), steady(reactor), {})\n"
            "except ConfigurationError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        self.assertIn("pip install 'craftnet[otel]'", done.stdout, done.stderr)
