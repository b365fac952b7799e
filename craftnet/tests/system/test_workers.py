"""Several workers behind one port, as an operator runs them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from cryptography.x509 import load_pem_x509_certificate
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import PUBLISH
from craftnet.tests.support.certificates import Issued, issued
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.live import SECRET, envelope, started, token
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS, Running, children, lives, running, twistd
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.signing import ec_key, public_pem

PLUGIN = """
from craftnet.providers.registry import BackendPlugin
pretended = BackendPlugin("pretended", "pretended_backend.Factory")
"""

BACKEND = '''
from craftnet.providers.memory.backend import MemoryFactory

class Factory(MemoryFactory):
    """Memory that claims to be shared: enough for workers that exchange nothing."""
    name = "pretended"
    shared = True
'''


SHORTEST_DRAIN = 0.9
"""Seconds; two workers with 200 watchers take about one, and nearly none without a drain."""

CONNECTIONS = r'craftnet_connections\{transport="websocket"\}'


class WorkersTests(SynchronousTestCase):
    """Two of them."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        (folder / "twisted" / "plugins").mkdir(parents=True)
        (folder / "twisted" / "plugins" / "pretended_plugin.py").write_text(PLUGIN)
        (folder / "pretended_backend.py").write_text(BACKEND)
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.environment = {
            "PYTHONPATH": os.pathsep.join(paths),
            SECRET_VARIABLE: SECRET,
            "TMPDIR": str(self.temporary),
        }
        self.port = reserved_port(self)
        self.options = ["--workers", "2", "--http", f"tcp:{self.port}:interface=127.0.0.1", "--udp", "off"]
        self.working = [*self.options, "--backend", "pretended"]

    def watch(self, number: int) -> list[ClientConnection]:
        """Starts watching `number` times."""
        url = f"ws://127.0.0.1:{self.port}/ws/queue/{PLAYER}"
        headers = {"Authorization": f"Bearer {token()}"}
        return [connect(url, additional_headers=headers) for _ in range(number)]

    def figures(self) -> set[Path]:
        """The folders of figures that there are."""
        return set(self.temporary.glob("craftnet-*"))

    def workers(self, server: Running, starting: int) -> set[int]:
        """The process ids of all workers, when `starting` more of them listen."""
        for _ in range(starting):
            said = server.read_until(r"HTTP and WebSocket: |ended with exit code \d+")[0]
            self.assertNotIn("ended", said, server.text)
        return children(server.process.pid)

    def metric(self, pattern: str) -> float:
        """The value of a series, as any worker reports it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PROCESS_TIMEOUT) as response:
            match = re.search(rf"^{pattern} (\S+)$", response.read().decode(), re.MULTILINE)
        return float(match[1]) if match else 0.0

    def wait_for_connections(self, number: float) -> None:
        """Waits until this many are shown: a worker knows of the others' figures after a second at most."""
        wait_for(lambda: self.metric(CONNECTIONS) == number)

    def test_one_service(self) -> None:
        """Connections are spread, counted together, survive the death of other workers, and end together."""
        with running(*self.working, **self.environment) as server:
            workers = self.workers(server, 2)
            peers = self.watch(20)
            self.wait_for_connections(20)
            files = sorted(next(iter(self.figures())).iterdir())

            os.kill(workers.pop(), signal.SIGKILL)
            number = server.read_until(r"worker-(\d) was killed by SIGKILL: started again in")[1]
            self.assertLess(workers, self.workers(server, 1))
            left = self.metric(CONNECTIONS)
            self.assertTrue(0 < left < 20, left)
            self.assertEqual(self.metric(rf'craftnet_worker_restarts_total\{{worker="{number}"\}}'), 1.0)
            peers += self.watch(20)
            self.wait_for_connections(left + 20)
            wait_for(lambda: sorted(next(iter(self.figures())).iterdir()) == files)

            self.assertEqual(server.finish(), 0)
            self.assertEqual(self.figures(), set())
            codes = set()
            for peer in peers:
                with self.assertRaises(ConnectionClosed) as caught:
                    peer.recv(timeout=PROCESS_TIMEOUT)
                codes.add(None if caught.exception.rcvd is None else caught.exception.rcvd.code)
            self.assertEqual(codes, {None, 1001})

    def test_every_process_receives_the_signal(self) -> None:
        """A terminal, and systemd, signal the workers as well as the supervisor: watchers are drained all the same."""
        options = [*self.working, "--drain-time", "30", "--max-per-player", "0"]
        with running(*options, **self.environment) as server:
            workers = self.workers(server, 2)
            peers = self.watch(200)
            began = time.monotonic()
            for pid in (*workers, server.process.pid):
                os.kill(pid, signal.SIGTERM)
            self.assertEqual(server.process.wait(PROCESS_TIMEOUT), 0)
            self.assertGreater(time.monotonic() - began, SHORTEST_DRAIN)
            for peer in peers:
                with self.assertRaises(ConnectionClosed) as caught:
                    peer.recv(timeout=PROCESS_TIMEOUT)
                assert caught.exception.rcvd is not None
                self.assertEqual(caught.exception.rcvd.code, 1001)

    def test_tls(self) -> None:
        """All workers serve the certificate, and read it again when their supervisor gets SIGHUP."""
        first, second = issued("craft.example"), issued("craft.example")
        key, chain = self.folder / "key.pem", self.folder / "chain.pem"

        def write(certificate: Issued) -> None:
            key.write_bytes(certificate.key)
            chain.write_bytes(certificate.chain)

        def served() -> set[int]:
            """The numbers of the certificates that connections get; twenty are spread over both workers."""
            address = ("127.0.0.1", self.port)
            pems = [ssl.get_server_certificate(address, timeout=PROCESS_TIMEOUT) for _ in range(20)]
            return {load_pem_x509_certificate(pem.encode()).serial_number for pem in pems}

        write(first)
        endpoint = f"ssl:{self.port}:interface=127.0.0.1:privateKey={key}:certKey={chain}"
        with running(*self.working, "--http", endpoint, **self.environment) as server:
            self.workers(server, 2)
            self.assertEqual(served(), {first.serial})
            write(second)
            server.process.send_signal(signal.SIGHUP)
            for _ in range(2):
                server.read_until("New connections use the certificate in")
            self.assertEqual(served(), {second.serial})
            self.assertEqual(server.finish(), 0)

    def test_signals_that_end_nothing(self) -> None:
        """SIGHUP and SIGUSR1, to the supervisor and to the workers; Ctrl-C ends all of them with exit code 0."""
        with running(*self.working, **self.environment) as server:
            workers = self.workers(server, 2)
            for number in (signal.SIGHUP, signal.SIGUSR1):
                for pid in (*workers, server.process.pid):
                    os.kill(pid, number)
            self.watch(2)
            for pid in (*workers, server.process.pid):
                os.kill(pid, signal.SIGINT)
            self.assertEqual(server.finish(signal.SIGINT), 0, server.text)
            self.assertNotIn("started again", server.text)

    def test_a_worker_that_hangs(self) -> None:
        """It is replaced, though its process is there and its port is open."""
        with running(*self.working, "--worker-timeout", "5", **self.environment) as server:
            workers = self.workers(server, 2)
            hanging = min(workers)
            os.kill(hanging, signal.SIGSTOP)
            number = server.read_until(r"worker-(\d) gives no sign of life: killed")[1]
            server.read_until(rf"worker-{number} was killed by SIGKILL: started again in \d+ s")
            self.assertNotIn(hanging, self.workers(server, 1))
            self.watch(5)
            self.assertEqual(server.finish(), 0)

    def test_udp_port_taken(self) -> None:
        """By another process, that of any worker: the exit code is that of one process alone."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            options = [*self.working, "--udp", f"127.0.0.1:{port - 1}"]
            completed = twistd("--nodaemon", "--pidfile=", "craftnet", *options, **self.environment)
        said = completed.stdout + completed.stderr
        self.assertEqual(completed.returncode, 1, said)
        self.assertIn(f"127.0.0.1:{port}", said)
        self.assertNotIn("Traceback", said)

    def test_killed_at_birth(self) -> None:
        """A supervisor that is killed leaves no workers behind, even those that do not look for it yet; nor figures."""
        with running(*self.working, **self.environment) as server:
            while len(workers := children(server.process.pid)) < 2:
                time.sleep(0.01)
            server.process.kill()
            deadline = time.monotonic() + PROCESS_TIMEOUT
            while (orphans := [worker for worker in workers if lives(worker)]) and time.monotonic() < deadline:
                time.sleep(0.05)
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
        self.assertEqual(orphans, [])
        self.assertEqual(len(left := self.figures()), 1)
        with running(*self.working, **self.environment) as server:
            self.workers(server, 2)
            self.assertEqual(len(self.figures()), 1)
            self.assertFalse(left & self.figures())

    def test_started_from_another_folder(self) -> None:
        """Workers are started as their supervisor was: by a path, with a key file, from here, and with that reactor."""
        rundir = self.folder / "rundir"
        rundir.mkdir()
        (self.folder / "bin").symlink_to(SCRIPTS)
        (self.folder / "key.pem").write_bytes(public_pem(ec_key()))
        command = ["bin/twistd", "--reactor=poll", f"--rundir={rundir}"]
        options = [*self.working, "--auth", "jwt:key=key.pem"]
        with running(*options, command=command, folder=str(self.folder), **self.environment) as server:
            for worker in self.workers(server, 2):
                self.assertIn(b"--reactor=poll", Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0"))
            self.assertEqual(server.finish(), 0)

    def test_port_taken(self) -> None:
        """Even by those who would share it."""
        with socket.create_server(("127.0.0.1", self.port), reuse_port=True):
            completed = twistd("--nodaemon", "--pidfile=", "craftnet", *self.working, **self.environment)
        said = completed.stdout + completed.stderr
        self.assertEqual(completed.returncode, 1, said)
        self.assertIn(f"127.0.0.1:{self.port}", said)
        self.assertNotIn("Traceback", said)

    def test_refused(self) -> None:
        """Impossible combinations are refused at once."""
        deep = self.temporary / (60 * "x")
        deep.mkdir()
        for options, environment, words in (
            (["--backend", "memory"], {**self.environment, "TMPDIR": str(deep)}, "short enough for UNIX sockets"),
            (["--backend", "pretended", "--queues", "memory"], self.environment, "memory keeps its state to itself"),
            (["--backend", "pretended"], {**self.environment, SECRET_VARIABLE: ""}, "must accept the same tokens"),
            (["--backend", "pretended", "--http", "tcp:0"], self.environment, "a fixed port"),
        ):
            completed = twistd("--nodaemon", "--pidfile=", "craftnet", *self.options, *options, **environment)
            said = completed.stdout + completed.stderr
            self.assertEqual(completed.returncode, 1, said)
            self.assertIn(words, said)


class DividedTests(SynchronousTestCase):
    """Two workers that divide the players, in memory."""

    def setUp(self) -> None:
        # Not self.mktemp(): the path of a UNIX socket must be short.
        temporary = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, temporary, ignore_errors=True)
        self.environment = {SECRET_VARIABLE: SECRET, "TMPDIR": temporary}
        self.port = reserved_port(self)
        self.options = ["--workers", "2", "--http", f"tcp:{self.port}:interface=127.0.0.1", "--udp", "off"]

    def publish(self, *events: dict[str, Any]) -> int:
        """Post events, to whichever worker; the status."""
        headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/events"
        request = urllib.request.Request(url, msgspec.json.encode(events), headers)
        with urllib.request.urlopen(request, timeout=PROCESS_TIMEOUT) as response:
            status: int = response.status
            return status

    def watch(self, session_id: UUID, player_id: UUID) -> ClientConnection:
        """By whichever worker."""
        url = f"ws://127.0.0.1:{self.port}/ws/crafting/{session_id}?player_id={player_id}"
        peer = connect(url, additional_headers={"Authorization": f"Bearer {token(player_id)}"})
        self.assertIn(str(session_id), str(peer.recv(timeout=PROCESS_TIMEOUT)))
        return peer

    def test_one_service(self) -> None:
        """Any worker serves any player and any event; one that dies loses only its own players' state."""
        with running(*self.options, **self.environment) as server:
            for _ in range(2):
                server.read_until("HTTP and WebSocket: ")
            crafts = [(uuid4(), uuid4()) for _ in range(20)]
            self.assertEqual(self.publish(*(started(*each) for each in crafts)), 202)
            peers = [self.watch(*each) for each in crafts]
            for session_id, _ in crafts:
                self.publish(
                    envelope("crafting.session.fail", {"session_id": str(session_id), "failure_reason": "timeout"})
                )
            for peer in peers:
                self.assertIn("crafting_failed", str(peer.recv(timeout=PROCESS_TIMEOUT)))

            os.kill(min(children(server.process.pid)), signal.SIGKILL)
            server.read_until("was killed by SIGKILL: started again in .* the state of its players is lost")
            server.read_until("HTTP and WebSocket: ")
            found = 0
            for each in crafts:
                try:
                    self.watch(*each)
                    found += 1
                except InvalidStatus as refusal:
                    self.assertEqual(refusal.response.status_code, 404)
            self.assertTrue(0 < found < len(crafts), found)
            self.assertEqual(self.publish(*(started(uuid4(), player_id) for _, player_id in crafts)), 202)
            self.assertEqual(server.finish(), 0, server.text)
