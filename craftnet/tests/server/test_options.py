"""Options reach the parts that they configure."""

from __future__ import annotations

import os
import tempfile
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from twisted.internet import reactor
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import InvalidStatus

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import ADMIN
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import to_json
from craftnet.errors import ConfigurationError
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.wire.codec import encode_progress
from craftnet.protocols.wire.records import ProgressRecord
from craftnet.providers.registry import Registry
from craftnet.providers.upstream.backend import TOKEN_VARIABLE
from craftnet.server.build import build
from craftnet.server.build.workers import check_workers
from craftnet.server.command_line import Options
from craftnet.server.options.table import GROUPS, OPTIONS
from craftnet.server.settings import Settings
from craftnet.sharding.links import LINKS_VARIABLE
from craftnet.tests.support.fakes import SteppedClock, SteppedReactor
from craftnet.tests.support.http_wire import Wire, request
from craftnet.tests.support.live import LiveTestCase, started, token
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.samples import NOW, PLAYER, SESSION


def settings(*arguments: str) -> Settings:
    """The parsed options of a service on free ports of this machine."""
    options = Options()
    options.parseOptions(
        ["--http", "tcp:0:interface=127.0.0.1", "--udp", "127.0.0.1:0", "--drain-time", "0", *arguments]
    )
    return options.settings


class HelpTests(SynchronousTestCase):
    """The output of --help."""

    def test_groups(self) -> None:
        """Every option stands under one heading, and no heading names an option that does not exist."""
        grouped = [name for group in GROUPS for name in group.names]
        known = {name.rstrip("=") for name in Options().longOpt}
        self.assertEqual(sorted(grouped), sorted(known))

    def test_settings_have_every_group(self) -> None:
        """What no group of `Settings` declares would be an option without effect."""
        declared, optional = {field.name for field in fields(Settings)}, {each.path[0] for each in OPTIONS.values()}
        self.assertEqual(optional ^ declared, {"port", "worker", "links"})

    def test_text(self) -> None:
        """The headings in order, and of an option its meaning, its default and its range."""
        lines = Options().getUsage(80).splitlines()
        headings = [line[:-1] for line in lines if line.endswith(":") and line[0] != " "]
        self.assertEqual(headings, [group.heading for group in GROUPS])
        at = lines.index("  --max-connections=")
        self.assertEqual(
            " ".join(line.strip() for line in lines[at + 1 : at + 4]),
            "Maximum number of feeds (WebSockets, event streams); further handshakes are refused with 429 "
            "(0 = unlimited) [default: 20000]. It must be from 0 to 1000000.",
        )
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_defaults(self) -> None:
        """--help shows the defaults that apply without options: `Settings` has every default."""
        for name in ("PORT", "CRAFTNET_WORKER", LINKS_VARIABLE):
            self.patch(os, "environ", {key: value for key, value in os.environ.items() if key != name})
        options = Options()
        options.parseOptions([])
        self.assertEqual(options.settings, Settings())


class BasePathTests(LiveTestCase):
    """Base paths of every kind."""

    settings = settings("--prefix", "/crafting", "--prefix=/game/crafting/")

    async def test_base_paths(self) -> None:
        await self.publish(started())
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
        request = to_json(UdpConnectRequest(player_id=PLAYER, client_version="1.0.0"))
        for prefix in ("", "/api/v1/crafting-network", "/v1/crafting-network", "/crafting", "/game/crafting"):
            self.assertEqual((await self.request("GET", prefix + "/ready")).code, 200)
            peer = await self.open(f"{prefix}/ws/crafting/{SESSION}?player_id={PLAYER}", token())
            self.assertEqual((await peer.receive())["type"], "progress_update")
            connect = f"{prefix}/udp/sessions/{SESSION}/connect"
            self.assertEqual((await self.request("POST", connect, headers=headers, data=request)).code, 200)
        self.assertEqual((await self.request("GET", "/game/ready")).code, 404)

    def test_no_path(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "--prefix crafting: it takes a path"):
            build(settings("--prefix", "crafting"), SteppedClock(), {})


class RateTests(LiveTestCase):
    """How often routes may be asked for."""

    settings = settings(
        *("--health-rate", "0.5", "--health-batch-rate", "0.75", "--connect-rate", "0.25"),
        *("--connect-rate-per-player", "0.5", "--unlimited-from", "192.0.2.0/24"),
    )

    async def test_rates(self) -> None:
        """Four seconds' worth at once."""
        limits = self.settings.limits
        self.assertEqual((limits.health, limits.health_batches, limits.connects), (0.5, 0.75, 0.25))
        self.assertEqual(limits.connects_per_player, 0.5)
        for method, path, allowed in (
            ("GET", "/health", 2),
            ("POST", "/health/batch", 3),
            ("POST", f"/udp/sessions/{SESSION}/connect", 1),
        ):
            codes = [(await self.request(method, path)).code for _ in range(allowed + 1)]
            self.assertEqual([code == 429 for code in codes], [False] * allowed + [True], path)


class IdleTests(SynchronousTestCase):
    def test_idle_timeout(self) -> None:
        """Longer than proxies keep their connections."""
        for arguments, seconds in (((), 75.0), (("--idle-timeout", "620"), 620.0)):
            reactor = SteppedReactor(NOW)
            build(settings("--udp", "off", *arguments), reactor, {}).listener.privilegedStartService()
            ((_, factory, *_),) = cast(Any, reactor.tcpServers)
            wire = Wire(factory)
            self.assertEqual(wire.ask(request("/health/live")).status, 200)
            reactor.advance(seconds - 1)
            self.assertFalse(wire.disconnecting)
            reactor.advance(1)
            self.assertTrue(wire.disconnecting)


class PublicUrlTests(LiveTestCase):
    """How clients reach the server, where their requests do not say it."""

    settings = settings("--public-url", "https://play.example/crafting")

    async def test_addresses(self) -> None:
        await self.publish(started())
        headers = {"Authorization": f"Bearer {token(PLAYER, ADMIN)}", "Content-Type": "application/json"}
        response = await self.request("GET", "/health/ws", headers=headers)
        self.assertEqual((await response.json())["websocket_url"], "wss://play.example/crafting/health/ws")
        request = to_json(UdpConnectRequest(player_id=PLAYER, client_version="1.0.0"))
        response = await self.request("POST", f"/udp/sessions/{SESSION}/connect", headers=headers, data=request)
        self.assertRegex((await response.json())["server_endpoint"], r"^play\.example:\d+$")

    async def test_pages(self) -> None:
        """Pages of that host may connect, and no others."""
        await self.open(f"/ws/queue/{PLAYER}", token(), origin="https://play.example")
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(f"/ws/queue/{PLAYER}", token(), origin=self.url)
        self.assertEqual(caught.exception.response.status_code, 403)

    def test_no_url(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "--public-url play.example: it takes http"):
            build(settings("--public-url", "play.example"), SteppedClock(), {})


class UpdateOptionTests(LiveTestCase):
    """Tolerances, and how often watchers receive updates."""

    settings = settings("--tolerance-percent", "7.5", "--tolerance-ms", "9000", "--udp-full-sync", "3.5")

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it.
        super().setUp()
        await self.publish(started())

    async def _post(self, path: str, media: str, body: bytes) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token()}", "Content-Type": media}
        response = await self.request("POST", f"/udp/sessions/{SESSION}/{path}", headers=headers, data=body)
        answer: dict[str, Any] = await response.json()
        return answer

    async def _agrees(self, percent: float, remaining: float, session_id: UUID = SESSION) -> bool:
        record = ProgressRecord(1, 1_000, session_id, percent, remaining)
        answer = await self._post("progress", "application/octet-stream", encode_progress(record))
        return bool(answer["agreed"])

    async def test_tolerance(self) -> None:
        """Clients learn it; reports are judged by it."""
        request = to_json(UdpConnectRequest(player_id=PLAYER, client_version="1.0.0"))
        answer = await self._post("connect", "application/json", request)
        self.assertEqual(answer["progress_tolerance"], 7.5)
        self.assertTrue(await self._agrees(6.0, 55.0))
        self.assertFalse(await self._agrees(9.0, 55.0))
        self.assertFalse(await self._agrees(6.0, 45.0))

    def test_full_sync(self) -> None:
        gateway = self.service.udp_service
        assert gateway is not None
        self.assertEqual(gateway.endpoint.terms.full_sync, 3.5)


class UdpCongestionTests(SynchronousTestCase):
    """What lowers the rate to a client."""

    def test_each(self) -> None:
        for arguments, congestion in (
            ((), Congestion.LOSS),
            (("--udp-congestion", "loss"), Congestion.LOSS),
            (("--udp-congestion", "delay"), Congestion.DELAY),
        ):
            service = build(settings(*arguments), SteppedClock(), {})
            assert service.udp_service is not None
            self.assertIs(service.udp_service.endpoint.terms.congestion, congestion)

    def test_another(self) -> None:
        with self.assertRaisesRegex(ConfigurationError, "udp-congestion: 'bbr' is none of: loss, delay"):
            settings("--udp-congestion", "bbr")


class UdpRenewalTests(SynchronousTestCase):
    """How soon keys and session_tokens are replaced."""

    def test_seconds(self) -> None:
        given = settings("--udp-key-rotation", "3", "--udp-token-renewal", "4.5")
        self.assertEqual((given.udp_key_rotation, given.udp_token_renewal), (3.0, 4.5))
        self.assertEqual((settings().udp_key_rotation, settings().udp_token_renewal), (600.0, 1800.0))
        service = build(given, SteppedClock(), {})
        assert service.udp_service is not None
        self.assertEqual(service.udp_service.endpoint.terms.key_rotation, 3.0)
        self.assertEqual(service.udp_service.tickets.renewal, 4.5)

    def test_longer_than_is_safe(self) -> None:
        for option in ("--udp-key-rotation", "--udp-token-renewal"):
            self.assertRaises(UsageError, settings, option, "1801")


class BrowserTests(SynchronousTestCase):
    """What web pages may do."""

    def test_refused_pages(self) -> None:
        self.assertEqual(settings("--max-refused-pages", "5").limits.refused_pages, 5)

    def test_origins(self) -> None:
        """Repeated, or separated by commas; one that matches nothing is refused at the start."""
        given = settings("--origin", "https://game.example,null", "--origin", "https://*.game.example")
        self.assertEqual(given.origins, ("https://game.example", "null", "https://*.game.example"))
        wrong = settings("--origin", "https://game.example/path")
        error = self.assertRaises(ConfigurationError, build, wrong, reactor, {})
        self.assertIn("--origin https://game.example/path: expected a scheme", str(error))


class StrictTransportTests(SynchronousTestCase):
    def test_hsts(self) -> None:
        self.assertEqual((settings().hsts, settings("--hsts", "31536000").hsts), (0, 31536000))


class WorkersTests(SynchronousTestCase):
    def test_timeout(self) -> None:
        options = Options()
        options.parseOptions(["--worker-timeout", "12.5"])
        self.assertEqual(options["worker-timeout"], 12.5)

    def test_no_temporary_folder(self) -> None:
        """Workers need one: without it, none of them is started."""
        self.patch(tempfile, "tempdir", str(Path(self.mktemp()) / "missing"))
        self.patch(Registry, "is_shared", lambda *_: True)
        options = settings("--workers", "2", "--http", f"tcp:{reserved_port(self)}:interface=127.0.0.1", "--udp", "off")
        error = self.assertRaises(
            ConfigurationError, check_workers, options, reactor, {SECRET_VARIABLE: "0123456789abcdef" * 4}
        )
        self.assertRegex(str(error), "--workers needs a temporary folder.* Set TMPDIR to a writable folder")


class IngestTests(SynchronousTestCase):
    """A wrong --ingest is found at the start, by the supervisor where there are workers."""

    ENVIRON = MappingProxyType({SECRET_VARIABLE: "0123456789abcdef" * 4, TOKEN_VARIABLE: "a.b.c"})

    def test_mistakes(self) -> None:
        os.environ[TOKEN_VARIABLE] = "a.b.c"
        self.addCleanup(os.environ.pop, TOKEN_VARIABLE)
        workers = ("--workers", "2", "--http", f"tcp:{reserved_port(self)}:interface=127.0.0.1")
        for option, backend, words in (
            ("kafka:group=g", "memory", "kafka: brokers=HOST:PORT is missing"),
            ("kafka:brokers=x:properties=/nowhere", "memory", "properties=/nowhere cannot be read: No such file"),
            ("nats:servers=x", "memory", "nats: stream must consist of"),
            ("rabbit:servers=x", "memory", "there is no message bus 'rabbit'; installed: kafka, nats"),
            ("nats:servers=x:stream=S", "upstream:url=http://core", "read the message bus in the core"),
        ):
            given = ("--ingest", option, "--backend", backend, "--udp", "off")
            for start, more in ((build, ()), (check_workers, workers)):
                with self.subTest(f"{start.__name__}: {option}"):
                    error = self.assertRaises(ConfigurationError, start, settings(*given, *more), reactor, self.ENVIRON)
                    self.assertIn(words, str(error))
