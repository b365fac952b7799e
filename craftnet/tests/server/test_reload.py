"""What a reload puts into effect, in a running service."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import InvalidStatus

from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import NO_NETWORKS
from craftnet.limits.connection_limits import Limits
from craftnet.server.options.table import OPTIONS
from craftnet.server.reload import Reloader, ReloadResult
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import LiveTestCase, token
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import children, running
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.signing import claims, ec_key, public_pem, rsa_key, sign

QUEUE = f"/ws/queue/{PLAYER}"


class ReloaderTests(SynchronousTestCase):
    """The rules, without a service."""

    def setUp(self) -> None:
        self.settings: Settings | ConfigurationError = Settings()
        self.reloader = Reloader(Settings(), self.reread)
        self.applied: list[Settings] = []
        self.reloader.on(self.applied.append, "origin", "refresh")

    def reread(self) -> Settings:
        if isinstance(self.settings, ConfigurationError):
            raise self.settings
        return self.settings

    def reload(self, **values: Any) -> ReloadResult:
        self.settings = Settings(**values)
        return self.reloader.reload("test")

    def test_nothing(self) -> None:
        self.assertEqual((self.reloader.reload("test"), self.applied), (ReloadResult(), []))

    def test_changed(self) -> None:
        """A part is called once for all its options, and again only when they change again."""
        for _ in range(2):
            result = self.reload(origins=("https://a.example",), refresh=7.0)
            self.assertEqual(len(self.applied), 1)
        self.assertEqual(result, ReloadResult())

    def test_unchangeable(self) -> None:
        """It is named at every reload, since it is still not in effect; the log says what to do."""
        for _ in range(2):
            with capturedLogs() as events:
                result = self.reload(workers=3, http="tcp:81", refresh=7.0)
            self.assertEqual(result.unchangeable, ("http", "workers"))
            said = [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events]
            self.assertIn("A restart is needed for: http, workers", said)
        self.assertEqual([each.refresh for each in self.applied], [7.0])

    def test_failed(self) -> None:
        """The old value stays, and counts as the present one."""

        def refuse(settings: Settings) -> None:
            raise ConfigurationError("no")

        self.reloader.on(refuse, "workers")
        for _ in range(2):
            self.assertEqual(self.reload(workers=3, refresh=7.0).failed, {"workers": "no"})
        self.assertEqual(len(self.applied), 1)

    def test_broken_file(self) -> None:
        """Nothing changes but other files, which are read all the same."""
        self.settings = ConfigurationError("line 3")
        self.reloader.on_files("certificate", lambda: True)
        self.assertEqual(self.reloader.reload("test"), ReloadResult(("certificate",), (), {"config": "line 3"}))
        self.assertEqual(self.applied, [])


class ServiceTests(LiveTestCase):
    """A running service."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", drain_time=0.0, limits=Limits(unlimited=NO_NETWORKS)
    )

    def test_declared(self) -> None:
        """The table says of exactly these options that they can change."""
        declared = {name for name, each in OPTIONS.items() if each.option.reload}
        self.assertEqual(self.service.reloader.reloadable, declared)

    async def test_rates(self) -> None:
        self.settings = replace(self.settings, limits=Limits(health=0.25, health_batches=0.25, unlimited=NO_NETWORKS))
        self.assertEqual(self.service.reload().changed, ("health-rate", "health-batch-rate"))
        for method, path in (("GET", "/health"), ("POST", "/health/batch")):
            codes = [(await self.request(method, path)).code for _ in range(2)]
            self.assertEqual([code == 429 for code in codes], [False, True])
        self.settings = ServiceTests.settings
        self.service.reload()
        self.assertNotEqual((await self.request("GET", "/health")).code, 429)

    async def test_connections(self) -> None:
        """Open ones stay."""
        first = await self.open(QUEUE, token())
        self.settings = replace(self.settings, limits=Limits(per_player=1, message_size=1024))
        self.assertEqual(self.service.reload().changed, ("max-per-player", "max-message", "unlimited-from"))
        with self.assertRaises(InvalidStatus) as caught:
            await self.open(QUEUE, token())
        self.assertEqual(caught.exception.response.status_code, 429)
        self.settings = replace(self.settings, limits=Limits(per_player=2))
        self.service.reload()
        await self.open(QUEUE, token())
        await first.send("{}")
        self.assertEqual(len(self.service.feeds.open), 2)

    async def test_origins(self) -> None:
        """A mistake keeps the old ones."""
        self.settings = replace(self.settings, origins=("https://game.example",))
        self.assertEqual(self.service.reload().changed, ("origin",))
        await self.open(QUEUE, token(), origin="https://game.example")
        self.settings = replace(self.settings, origins=("game.example",))
        self.assertIn("--origin game.example", self.service.reload().failed["origin"])
        await self.open(QUEUE, token(), origin="https://game.example")

    def test_development_tokens(self) -> None:
        """They stay: the addresses that are served depend on them."""
        self.settings = replace(self.settings, auth="jwt:jwks=https://login.example/keys.json")
        self.assertEqual(list(self.service.reload().failed), ["auth"])


class KeyTests(LiveTestCase):
    """Keys that are replaced."""

    def setUp(self) -> None:
        """With the first key."""
        self.file = Path(self.mktemp()).absolute()
        self.file.write_bytes(public_pem(ec_key()))
        self.settings = replace(LiveTestCase.settings, auth=f"jwt:key={self.file}")
        super().setUp()

    async def accepts(self, key: Callable[[], Any]) -> bool:
        """Whether a token that is signed with this key opens a feed."""
        signer = key()
        algorithm = "RS256" if signer is rsa_key() else "ES256"
        made = sign(signer, algorithm, payload=claims(iat=None, exp=int(reactor.seconds()) + 60))
        try:
            await self.open(QUEUE, made)
        except InvalidStatus as refused:
            self.assertEqual(refused.response.status_code, 401)
            return False
        return True

    async def test_same_file(self) -> None:
        self.assertTrue(await self.accepts(ec_key))
        self.file.write_bytes(public_pem(rsa_key()))
        self.assertFalse(await self.accepts(rsa_key))
        self.assertEqual(self.service.reload().changed, ("keys",))
        self.assertTrue(await self.accepts(rsa_key))
        self.assertFalse(await self.accepts(ec_key))
        self.file.write_bytes(b"nothing")
        self.assertIn("is not a public key", self.service.reload().failed["keys"])
        self.assertTrue(await self.accepts(rsa_key))

    async def test_another_file(self) -> None:
        other = Path(self.mktemp()).absolute()
        other.write_bytes(public_pem(rsa_key()))
        self.settings = replace(self.settings, auth=f"jwt:key={other}")
        self.assertEqual(self.service.reload().changed, ("auth",))
        self.assertTrue(await self.accepts(rsa_key))


class AuditTests(SynchronousTestCase):
    """SIGHUP to a server with an audit log."""

    def test_signal(self) -> None:
        file, audit = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        file.write_text(f'health-rate = 5\naudit = "{audit}"\nudp = "off"\n', encoding="utf-8")
        secrets = {"CRAFTNET_JWT_SECRET": "x" * 40, "CRAFTNET_AUDIT_SECRET": "ab" * 32}
        with running("--config", str(file), PORT=str(reserved_port(self)), **secrets) as server:
            server.read_until("Back end: ")
            file.write_text(f'health-rate = 6\naudit = "{audit}"\nudp = "off"\nrefresh = 9\n', encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            server.read_until("A restart is needed for: refresh$")
            self.assertEqual(server.finish(), 0, server.text)
        [entry] = [each for each in map(json.loads, audit.read_text().splitlines()) if "reloaded" in each["event"]]
        self.assertEqual((entry["event"], entry["actor"]), ("configuration.reloaded", "SIGHUP"))
        self.assertEqual(entry["details"], {"changed": "health-rate", "restart_needed": "refresh"})
        self.assertEqual(entry["reason"], "Reloaded; changed: health-rate; A restart is needed for: refresh")


class WorkerTests(SynchronousTestCase):
    """SIGHUP to a supervisor."""

    def test_workers(self) -> None:
        """All take the file over; a broken one changes nothing, also for a worker that is started again."""
        file = Path(self.mktemp()).absolute()
        file.write_text("health-rate = 5\nrefresh = 4\n", encoding="utf-8")
        options = ["--config", str(file), "--workers", "2", "--udp", "off"]
        with running(*options, PORT=str(reserved_port(self)), CRAFTNET_JWT_SECRET="x" * 40) as server:
            for _ in range(2):
                server.read_until("Back end: ")
            wait_for(lambda: len(children(server.process.pid)) == 2)
            file.write_text("health-rate = 6\nrefresh = 9\n", encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            server.read_until_all({"Reloaded; changed: health-rate$": 2, "A restart is needed for: refresh$": 2})
            file.write_text("health-rte = 7\n", encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            server.read_until_all(
                {
                    "Workers that start get the previous configuration: .*did you mean health-rate": 1,
                    "config stays as it was: .*line 1: there is no option health-rte": 2,
                }
            )
            os.kill(min(children(server.process.pid)), signal.SIGKILL)
            server.read_until("was killed by SIGKILL")
            server.read_until("Back end: ")
            file.write_text("health-rate = 6\nrefresh = 4\n", encoding="utf-8")
            wait_for(lambda: len(children(server.process.pid)) == 2)
            server.process.send_signal(signal.SIGHUP)
            for _ in range(2):
                server.read_until("Reloaded; changed: nothing$")
            self.assertEqual(server.finish(), 0, server.text)
