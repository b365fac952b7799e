"""The audit log of a running service, and of `twistd craftnet` with workers."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from websockets.exceptions import InvalidStatus

from craftnet.access.principal import ADMIN, OPERATE
from craftnet.observe.audit.entries import LogEntry, parse
from craftnet.observe.audit.keys import SECRET_VARIABLE
from craftnet.tests.support.audit_lines import KEY, verified
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import LiveTestCase, started, token
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import SCRIPTS, running
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER, SESSION


def entries(path: Path) -> list[LogEntry]:
    """The entries of a file."""
    found = [parse(line) for line in path.read_bytes().splitlines()]
    return [sealed.entry for sealed in found if sealed is not None]


class AuditTests(LiveTestCase):
    environ = MappingProxyType({SECRET_VARIABLE: KEY.secret.hex()})

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.settings = replace(self.settings, audit=str(self.path), audit_sync="always")
        super().setUp()

    async def finished(self) -> list[LogEntry]:
        """The entries after the service has stopped."""
        await self.stop()
        verifier = verified([("log", self.path.read_bytes())])
        self.assertTrue(verifier.intact, list(map(str, verifier.findings)))
        return entries(self.path)

    async def test_requests(self) -> None:
        """Failed authentication and authorisation, over HTTP and WebSocket, and a revocation with who did it."""
        await self.publish(started())
        trace = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        snapshot = f"/ws/crafting/{SESSION}?player_id={PLAYER}"
        for bearer, status in ((None, 401), ("nonsense", 401), (token(OTHER_PLAYER), 403)):
            headers = trace if bearer is None else {**trace, "Authorization": f"Bearer {bearer}"}
            self.assertEqual((await self.request("GET", snapshot, headers=headers)).code, status)
        with self.assertRaises(InvalidStatus):
            await self.open(snapshot, token(OTHER_PLAYER))
        await self.open(snapshot, token())
        revocation = {"player_id": str(PLAYER)}
        headers = {"Authorization": f"Bearer {token(None, ADMIN)}"}
        self.assertEqual((await self.request("POST", "/revocations", headers=headers, json=revocation)).code, 200)
        start, *found, stop = await self.finished()
        self.assertEqual((start.event, stop.event), ("audit.started", "audit.stopped"))
        self.assertEqual(
            [(entry.event, entry.transport, entry.status) for entry in found],
            [
                ("access.unauthenticated", "http", 401),
                ("access.unauthenticated", "http", 401),
                ("access.denied", "http", 403),
                ("access.denied", "websocket", 403),
                ("token.revoked", "", None),
            ],
        )
        self.assertEqual({entry.route for entry in found[:4]}, {"/ws/crafting/*"})
        self.assertEqual({entry.trace_id for entry in found[:3]}, {"ab" * 16})
        self.assertEqual(found[2].player, found[3].player)
        self.assertEqual((found[4].details["closed"], found[4].details["node"]), (1, "this one"))
        for player in (PLAYER, OTHER_PLAYER):
            self.assertNotIn(str(player), self.path.read_text())

    async def test_operators(self) -> None:
        """What they did, why, and who they are; a player is named by the pseudonym alone."""
        operator = {"Authorization": f"Bearer {token(None, ADMIN, OPERATE)}"}
        body = {"reason": "stolen account", "player_id": str(PLAYER)}
        answer = await self.request("POST", "/admin/revocations", headers=operator, json=body)
        self.assertEqual(answer.code, 200, await answer.text())
        onlooker = {"Authorization": f"Bearer {token(None, ADMIN)}"}
        self.assertEqual((await self.request("POST", "/admin/revocations", headers=onlooker, json=body)).code, 403)
        _, revoked, action, *refused, _ = await self.finished()
        self.assertEqual((revoked.event, revoked.reason), ("token.revoked", "stolen account"))
        self.assertEqual((action.event, action.reason, action.status), ("admin.action", "stolen account", 200))
        self.assertEqual((action.details["action"], action.player), ("revoke", revoked.player))
        self.assertEqual(
            {(entry.event, entry.status) for entry in refused}, {("admin.action", 403), ("access.denied", 403)}
        )
        self.assertNotIn(str(PLAYER), self.path.read_text())

    async def test_flood(self) -> None:
        """Fifty refusals are two entries."""
        asked = [self.request("GET", f"/ws/queue/{PLAYER}") for _ in range(50)]
        for answer in asked:
            self.assertEqual((await answer).code, 401)
        _, first, others, _ = await self.finished()
        self.assertEqual((first.count, others.count), (1, 49))

    async def test_health_check(self) -> None:
        answer = await self.request("GET", "/health")
        self.assertEqual((await answer.json())["checks"]["audit"]["status"], "ok")
        metrics = await (await self.request("GET", "/metrics")).text()
        self.assertIn('craftnet_audit_failures_total{kind="lost"} 0', metrics)


class FullDiskTests(LiveTestCase):
    """On a device that is always full."""

    environ = MappingProxyType({SECRET_VARIABLE: KEY.secret.hex()})

    def setUp(self) -> None:
        if not Path("/dev/full").exists():
            raise SkipTest("this system has no /dev/full")
        self.settings = replace(self.settings, audit="/dev/full", audit_players=self.mktemp())
        super().setUp()

    async def test_service_goes_on(self) -> None:
        """Requests are answered; metrics and a health check, which is not critical, say what is wrong."""
        self.assertEqual((await self.request("GET", f"/ws/queue/{PLAYER}")).code, 401)

        async def problem() -> str:
            answer = await (await self.request("GET", "/health")).json()
            return str(answer["checks"]["audit"].get("message"))

        while "No space left on device" not in await problem():
            await deferLater(reactor, 0.1)
        self.assertEqual((await self.request("GET", "/ready")).code, 200)
        metrics = await (await self.request("GET", "/metrics")).text()
        self.assertRegex(metrics, r'craftnet_audit_failures_total\{kind="write"\} [1-9]')


class ProcessTests(SynchronousTestCase):
    """As an operator runs it."""

    def test_workers(self) -> None:
        """A chain each, rotated by one signal to the supervisor; the published heads are in the output."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        key, log = folder / "key", folder / "audit.jsonl"
        craftnet = str(SCRIPTS / "craftnet")
        subprocess.run([craftnet, "audit", "create-key", key], check=True, capture_output=True)
        options = ["--http", f"tcp:{reserved_port(self)}:interface=127.0.0.1", "--udp", "off", "--workers", "2"]
        options += ["--audit", str(log), "--audit-key", str(key)]
        with running(*options, CRAFTNET_JWT_SECRET="a secret of thirty-two characters or more") as server:
            logs = [folder / f"audit-w{number}.jsonl" for number in range(2)]
            wait_for(lambda: all(each.exists() and entries(each) for each in logs))
            server.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: len(list(folder.glob("audit-w?-*.jsonl"))) == 2)
            wait_for(lambda: all(entries(each) for each in logs))
            self.assertEqual(server.finish(), 0)
        (folder / "log").write_text(server.text)
        files = sorted(map(str, folder.glob("audit-w*.jsonl")))
        self.assertEqual(len(files), 4)
        command = [craftnet, "audit", "verify", "--key", str(key), "--heads", str(folder / "log")]
        done = subprocess.run([*command, *files], check=False, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout.count("chain w")), (0, 2), done.stdout)
        done = subprocess.run([*command, *files[:-1]], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
