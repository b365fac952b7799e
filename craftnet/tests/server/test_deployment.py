"""The files in deploy/, and the Procfiles: valid options, and balancers that do their job."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from socket import SOCK_DGRAM

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from twisted.web.http_headers import Headers

import craftnet
from craftnet.access.principal import PUBLISH
from craftnet.client.core.watch import WatchVerdict
from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import steady
from craftnet.server.build import build
from craftnet.server.command_line import Options
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings
from craftnet.tests.support.authority import insist
from craftnet.tests.support.eventually import until, wait_for
from craftnet.tests.support.live import envelope, started, token
from craftnet.tests.support.nodes import Node, listens
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS
from craftnet.tests.support.programs import output, program
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER, RECIPE, SESSION
from craftnet.tests.support.signing import ec_key, public_pem
from craftnet.tests.support.watchers import Kind, Seen, Watching, connections, give_up, watch

REPOSITORY = Path(craftnet.__file__).parent.parent
DEPLOY = REPOSITORY / "deploy"

SAID = {"CRAFTNET_AUTH": "jwt:jwks=https://login.example/keys.json", "PUBLIC_HOST": "play.example"}
"""The operator's environment variables."""


class OptionsTests(SynchronousTestCase):
    """Every command that starts craftnet is one that it takes."""

    def setUp(self) -> None:
        """A twistd that prints its arguments."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "twistd").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        (self.folder / "twistd").chmod(0o755)

    def given(self, line: str, **more: str) -> list[str]:
        """The arguments that twistd is started with by a line of shell."""
        path = os.pathsep.join([str(self.folder), os.environ["PATH"]])
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, cwd=REPOSITORY, env={"PATH": path, **more}
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def settings(self, arguments: Sequence[str]) -> Settings:
        """Parses the options; they describe a service."""
        options = Options()
        options.parseOptions(arguments)
        self.assertIsInstance(build(options.settings, steady(reactor), {}), Craftnet)
        return options.settings

    def lines(self, procfile: Path) -> dict[str, str]:
        """The processes of a Procfile."""
        split = (line.partition(": ") for line in procfile.read_text().splitlines())
        return {name: command for name, _, command in split}

    def test_procfile(self) -> None:
        lines = self.lines(REPOSITORY / "Procfile")
        self.assertEqual(list(lines), ["web"], "such a platform starts everything that is in it")
        *before, name = (arguments := self.given(lines["web"], **SAID))[:3]
        self.assertEqual((before, name), (["--nodaemon", "--pidfile="], "craftnet"))
        self.assertEqual(self.settings(arguments[3:]).backend, "memory")
        off = {"CRAFTNET_BACKEND": "redis:host=redis.example", "CRAFTNET_UDP": "off"}
        settings = self.settings(self.given(lines["web"], **SAID, **off)[3:])
        self.assertEqual((settings.backend, settings.udp), ("redis:host=redis.example", "off"))

    def test_cluster(self) -> None:
        """The nodes of the other Procfile are those that nginx.conf knows."""
        lines = self.lines(DEPLOY / "Procfile")
        self.assertEqual(list(lines), ["redis", "node1", "node2", "balancer"])
        balanced = (DEPLOY / "nginx.conf").read_text()
        for name in ("node1", "node2"):
            settings = self.settings(self.given(lines[name], **SAID)[3:])
            self.assertEqual(settings.auth, SAID["CRAFTNET_AUTH"])
            port = re.fullmatch(r"tcp:(\d+):interface=127\.0\.0\.1", settings.http or "")
            assert port is not None and settings.public_udp is not None
            self.assertIn(f"server 127.0.0.1:{port[1]} ", balanced)
            host, _, public = settings.public_udp.partition(":")
            self.assertEqual(host, "play.example")
            self.assertRegex(balanced, rf"listen {public} udp reuseport;\s+proxy_pass {settings.udp};")
            self.assertIsNone(self.settings(self.given(lines[name])[3:]).auth)

    def test_compose(self) -> None:
        """As far as it can be seen without an engine."""
        text = (DEPLOY / "compose.yaml").read_text()
        found = re.findall(r"^  (node\d):\n(?:    .*\n)*?    command:\n((?:      - --.*\n)+)", text, re.MULTILINE)
        self.assertEqual([name for name, _ in found], ["node1", "node2"])
        for name, block in found:
            words = " ".join(f'"{line.strip()[2:]}"' for line in block.splitlines())
            settings = self.settings(self.given(f"twistd {words}", **SAID))
            self.assertEqual((settings.backend, settings.auth), ("redis:host=redis", SAID["CRAFTNET_AUTH"]))
            assert settings.public_udp is not None
            public = settings.public_udp.removeprefix("play.example:")
            self.assertRegex(text, rf'{name}:\n    <<: \*node\n    ports: \["{public}:8082/udp"\]')

    def test_compose_is_valid(self) -> None:
        path = str(DEPLOY / "compose.yaml")
        # It is written in Python, too: what this one imports is none of its business.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = output("docker-compose", "-f", path, "config", "--quiet", env={**kept, **SAID})
        self.assertEqual(done.returncode, 0, done.stdout)


class PlatformTests(SynchronousTestCase):
    """A platform that builds like Heroku, and starts the Procfile's command."""

    def test_build(self) -> None:
        """Such a platform knows a Python application by requirements.txt, and asks .python-version which Python."""
        lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
        self.assertEqual([line for line in lines if not line.startswith("#")], ["."])
        version = (REPOSITORY / ".python-version").read_text().strip()
        self.assertIn(f"Programming Language :: Python :: {version}\n", (REPOSITORY / "setup.cfg").read_text())

    def test_honcho(self) -> None:
        """It serves on $PORT, and ends on SIGTERM."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "key.pem").write_bytes(public_pem(ec_key()))
        port, log = reserved_port(self), folder / "log"
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(SCRIPTS), os.environ["PATH"]]),
            "PORT": str(port),
            "CRAFTNET_AUTH": f"jwt:key={folder}/key.pem",
            "CRAFTNET_UDP": "off",
        }
        command = [str(SCRIPTS / "honcho"), "start", "--procfile", str(REPOSITORY / "Procfile")]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_for(lambda: process.poll() is not None or listens(port))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=PROCESS_TIMEOUT) as response:
                self.assertEqual(response.status, 200)
            process.terminate()
            process.wait(PROCESS_TIMEOUT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said = log.read_text()
        self.assertIn("Stopped: every watcher is closed", said)
        self.assertRegex(said, r"web\.1 stopped \(rc=0\)")


class BalancerTests(TestCase):
    """Two nodes behind each of the balancers, watched through it over WebSocket and UDP while one of them is killed."""

    timeout = 60

    async def nodes(self, public: Sequence[int] = (), *, share: bool = True) -> list[Node]:
        """Redis and two nodes, which announce the UDP ports `public`, or their own.

        Arguments:
            share: whether the nodes share one Redis.
        """
        self.redis = [RedisServer() for _ in range(1 if share else 2)]
        for server in self.redis:
            self.addCleanup(server.stop)
            server.start()
        options = ["--http", "tcp:0:interface=127.0.0.1", "--health-interval", "0.5"]
        options += ["--trusted-proxy", "127.0.0.0/8", "--udp-heartbeat", "1000", "--drain-time", "0"]
        nodes = []
        for server, port in zip_longest((self.redis * 2)[:2], public):
            mine = ["--udp", "127.0.0.1:0", *(["--public-udp", f"127.0.0.1:{port}"] if port else [])]
            nodes.append(Node([*options, *mine, "--backend", f"redis:port={server.port}:timeout=1"]))
            self.addCleanup(nodes[-1].end)
            await nodes[-1].start()
        return nodes

    async def balance(self, command: Sequence[str], port: int, **more: str) -> None:
        """Start a balancer, and wait until it balances."""
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, **more})
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.port = port
        await until(lambda: process.poll() is not None or listens(port))
        self.assertIsNone(process.poll())

    async def go_on(self, nodes: Sequence[Node]) -> None:
        """The craft: half of it, a node dies, the other half."""
        await self.publish("session.start", {"player_id": str(PLAYER), "recipe_id": str(RECIPE)})
        kinds: Sequence[Kind] = (WebSocketTransport, WebSocketTransport, UdpTransport, UdpTransport)
        watchers = [self.watch(kind) for kind in kinds]
        await until(lambda: all(seen.percents for seen, _ in watchers))
        await self.publish("session.progress", {"progress_percentage": 40, "status": "active"})
        await until(lambda: all(seen.percents[-1] == 40 for seen, _ in watchers))
        self.assertFalse([seen.endings for seen, _ in watchers if seen.endings])
        websockets = [await connections(node.url, "websocket") for node in nodes]
        await nodes[websockets.index(max(websockets))].end(signal.SIGKILL)
        await self.publish("session.progress", {"progress_percentage": 60, "status": "active"})
        await until(lambda: all(seen.percents[-1] == 60 for seen, _ in watchers))
        await self.publish("session.complete", {"result_item_id": str(SESSION), "duration_seconds": 3})
        for seen, watching in watchers:
            self.assertEqual(((await watching).verdict, seen.goes_back), (WatchVerdict.COMPLETED, ""))
        self.assertTrue(any(seen.endings for seen, _ in watchers[:2]))

    def watch(self, kind: Kind) -> tuple[Seen, Watching]:
        """Begin to watch."""
        seen, watching = watch(self.port, SESSION, PLAYER, kind)
        self.addCleanup(give_up, watching)
        return seen, watching

    async def publish(self, kind: str, data: dict[str, object]) -> None:
        """One event, through the balancer, until it is taken."""
        event = envelope(f"crafting.{kind}", {"session_id": str(SESSION), **data})
        await insist(lambda _: f"http://127.0.0.1:{self.port}", [event])

    async def test_haproxy(self) -> None:
        """UDP goes straight to the nodes."""
        nodes = await self.nodes()
        await self.haproxy(nodes)
        await self.go_on(nodes)

    async def test_haproxy_health(self) -> None:
        """A single critical node is left out; when all are critical, they stay and say themselves what is wrong."""
        nodes = await self.nodes(share=False)
        await self.haproxy(nodes, {"inter 2s": "inter 100ms"})
        alone, other = self.redis
        alone.kill()
        await until(lambda: self.judged("node1") == "DOWN")
        await self.healthy(nodes[0].port, False)
        self.assertEqual([await self.health(self.port) for _ in range(10)], [200] * 10)

        other.kill()
        await until(lambda: self.judged("node2") == "DOWN")
        await self.healthy(nodes[1].port, False)
        self.assertEqual([await self.health(self.port) for _ in range(10)], [503] * 10)
        status, said = await self.refusal()
        self.assertEqual(status, 503)
        self.assertNotIn("No node", said)
        self.assertEqual(await connections(f"http://127.0.0.1:{self.port}", "websocket"), 0)
        other.start()
        await self.healthy(self.port, True)

        for node in nodes:
            await node.end()
        self.assertEqual(await self.refusal(), (503, "No node can be reached."))

    async def test_nginx(self) -> None:
        """UDP goes through it, too."""
        command, port = program("nginx"), reserved_port(self)
        public = [reserved_port(self, SOCK_DGRAM) for _ in range(2)]
        module = re.findall(r"^load_module (.*);", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
        if not Path(module[0]).exists():
            raise SkipTest("nginx's stream module is not installed")
        nodes = await self.nodes(public)
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        ports = {"listen 8080 ": f"listen 127.0.0.1:{port} "}
        for number, node in enumerate(nodes):
            ports[f"127.0.0.1:900{number + 1} "] = f"127.0.0.1:{node.port} "
            ports[f"listen 808{number + 2} udp "] = f"listen 127.0.0.1:{public[number]} udp "
            ports[f"proxy_pass 127.0.0.1:910{number + 1};"] = f"proxy_pass 127.0.0.1:{await node.udp_port()};"
        (Path(folder) / "nginx.conf").write_text(changed(DEPLOY / "nginx.conf", ports))
        await self.balance([command, "-p", folder, "-c", f"{folder}/nginx.conf", "-g", "daemon off;"], port)
        await self.go_on(nodes)
        self.redis[0].kill()
        for node in nodes:
            if node.port:
                await self.healthy(node.port, False)
        status, said = await self.refusal()
        self.assertEqual(status, 503)
        self.assertNotIn("No node", said)
        for node in nodes:
            await node.end()
        self.assertEqual(await self.refusal(), (503, "No node can be reached."))

    async def haproxy(self, nodes: Sequence[Node], more: dict[str, str] | None = None) -> None:
        """Start it, with another port, and with what else is to be other in its configuration."""
        command, port = program("haproxy"), reserved_port(self)
        file = Path(self.mktemp())
        folder = tempfile.mkdtemp()  # not self.mktemp(): the path of a UNIX socket must be short.
        self.addCleanup(shutil.rmtree, folder)
        self.statistics = f"{folder}/statistics"
        texts = {
            "bind :8080": f"bind 127.0.0.1:{port}",
            "\nglobal\n": f"\nglobal\n    stats socket {self.statistics}\n",
        }
        file.write_text(changed(DEPLOY / "haproxy.cfg", {**texts, **(more or {})}))
        addresses = {f"NODE{number}": f"127.0.0.1:{node.port}" for number, node in enumerate(nodes, 1)}
        await self.balance([command, "-f", str(file)], port, **addresses)

    def judged(self, node: str) -> str:
        """The last result of HAProxy's checks of a node with a Redis-backed service: UP, DOWN, or in transition."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self.statistics)
            asking.sendall(b"show stat\n")
            rows = csv.DictReader(asking.makefile())
            return next(row["status"] for row in rows if (row["# pxname"], row["svname"]) == ("well", node))

    async def health(self, port: int) -> int:
        """The status of `/health` there."""
        response = await treq.get(f"http://127.0.0.1:{port}/health", persistent=False)
        await response.content()
        status: int = response.code
        return status

    async def healthy(self, port: int, wanted: bool) -> None:
        """Wait until `/health` says so."""
        while (await self.health(port) == 200) is not wanted:
            await deferLater(reactor, 0.05)

    async def refusal(self) -> tuple[int, str]:
        """Status and message of a post that is refused, in the shape of all refusals; it may be tried again."""
        headers = Headers({"Authorization": [f"Bearer {token(None, PUBLISH)}"], "Content-Type": ["application/json"]})
        url, event = f"http://127.0.0.1:{self.port}/events", msgspec.json.encode([started()])
        response = await treq.post(url, headers=headers, data=event, persistent=False)
        body = await response.json()
        self.assertEqual(body, {"code": response.code, "message": body["message"]})
        self.assertTrue(response.headers.hasHeader("Retry-After"))
        return response.code, body["message"]


def changed(file: Path, texts: dict[str, str]) -> str:
    """A configuration with other ports; each must be in it."""
    text = file.read_text()
    for before, after in texts.items():
        if before not in text:
            raise AssertionError(f"{before} is not in {file}")
        text = text.replace(before, after)
    return text
