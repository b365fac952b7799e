"""The program as an operator runs it: `twistd craftnet` in a separate process."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from craftnet.access.development import SECRET_VARIABLE
from craftnet.contract.close_codes import retry_after
from craftnet.server.command_line import Options
from craftnet.tap import makeService
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.processes import PROCESS_TIMEOUT, SCRIPTS, environment, running, twistd


class CommandLineTests(SynchronousTestCase):
    """Tests without a running server."""

    def test_listed(self) -> None:
        self.assertRegex(twistd("--help").stdout, r"\n +craftnet +The crafting network service")

    def test_help(self) -> None:
        text = twistd("craftnet", "--help").stdout
        for option in (
            "--http",
            "--udp",
            "--public-udp",
            "--public-url",
            "--prefix",
            "--backend",
            "--sessions",
            "--queues",
            "--materials",
            "--auth",
            "--max-per-address",
            "--trusted-proxy",
            "--origin",
            "--drain-time",
            "--help-backends",
        ):
            self.assertIn(option, text)

    def test_back_ends(self) -> None:
        text = twistd("craftnet", "--help-backends").stdout
        for name in ("memory: ", "workshop: ", "retention=", "seed="):
            self.assertIn(name, text)

    def test_another_reactor(self) -> None:
        """Finding plugins installs none, so that --reactor has its way."""
        completed = twistd("--reactor=poll", "craftnet", "--help-backends")
        self.assertEqual(completed.returncode, 0, completed.stderr)

    def test_refused(self) -> None:
        """A mistake in the options ends in one clear sentence, found while they are parsed or later."""
        for arguments, port, words in (
            (["--refresh", "0"], "0", "must be from 0.5"),
            (["--udp", "off"], "http", "$PORT: 'http' is not a port number"),
        ):
            completed = twistd("--nodaemon", "--pidfile=", "craftnet", *arguments, PORT=port)
            said = completed.stdout + completed.stderr
            self.assertEqual(completed.returncode, 1, said)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)

    def test_each_mistake(self) -> None:
        """Twistd shows the text of the exception."""
        self.patch(os, "environ", environment())
        for arguments, words in (
            (["--backend", "nothing"], "no back end 'nothing'"),
            (["--backend", "memory:colour=red"], "no argument 'colour'"),
            (["--udp", "lots"], "'lots' is not a port number"),
            (["--http", "tcp:0"], "would serve other machines"),
            (["--udp", "0.0.0.0:0"], "would serve other machines"),
            (["--http", "carrier-pigeon:1"], "--http carrier-pigeon:1"),
            (["--auth", "jwt:key=/nowhere.pem"], "/nowhere.pem"),
            (["--refresh", "0"], "must be from 0.5"),
            (["--max-message", "0"], "must be from 1024 to 16777216"),
            (["--origin", "game.example"], "--origin game.example"),
            (["--trusted-proxy", "proxy.example"], "--trusted-proxy: "),
        ):
            with self.assertRaises((UsageError, SystemExit)) as caught:
                options = Options()
                options.parseOptions(arguments)
                makeService(options)
            self.assertIn(words, str(caught.exception))
        os.environ["PORT"] = ""  # a mistake of the operator.
        options = Options()
        options.parseOptions([])
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertIn("$PORT is empty: set it", str(error))

    def test_port_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            completed = twistd("--nodaemon", "--pidfile=", "craftnet", "--udp", "off", PORT=str(port))
        said = completed.stdout + completed.stderr
        self.assertEqual(completed.returncode, 1, said)
        self.assertIn(f"127.0.0.1:{port}", said)
        self.assertNotIn("Traceback", said)


class ServerTests(SynchronousTestCase):
    """A running server."""

    def test_first_screen(self) -> None:
        """The command that is printed at start-up watches a craft; SIGTERM ends it all cleanly."""
        with running("--backend", "workshop:players=20:seed=7", "--udp", "127.0.0.1:0", PORT="0") as server:
            command = shlex.split(server.read_until(r"^ +Terminal +(\S+ watch .*)$")[1])
            feed = server.read_until(r"^ +(ws://\S+)$")[1]
            player, token = (command[command.index(option) + 1] for option in ("--player", "--token"))
            self.assertIn(player, feed)
            for transport in ("ws", "udp"):
                watching = subprocess.Popen(
                    [sys.executable, *command, "--json", "--transport", transport],
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment(),
                )
                with watching:
                    assert watching.stdout is not None
                    message = msgspec.json.decode(watching.stdout.readline())
                    watching.kill()
                self.assertEqual((message["type"], message["transport"]), ("progress_update", transport))
            with connect(feed, additional_headers={"Authorization": f"Bearer {token}"}) as watcher:
                watcher.recv(timeout=PROCESS_TIMEOUT)
                code = server.finish()
                with self.assertRaises(ConnectionClosed) as caught:
                    while True:
                        watcher.recv(timeout=PROCESS_TIMEOUT)
            assert caught.exception.rcvd is not None
            self.assertEqual((code, caught.exception.rcvd.code), (0, 1001))
            self.assertIsNotNone(retry_after(caught.exception.rcvd.reason))
            self.assertRegex(server.text, r"Stopping: .* 1 watchers? .*closed within 5 seconds")
            self.assertIn("Stopped: ", server.text)
            logged = [line for line in server.text.splitlines() if re.match(r"\d{4}-", line)]
            self.assertFalse([line for line in logged if token in line])
            self.assertNotIn("Traceback", server.text)

    def test_signals(self) -> None:
        """SIGHUP and SIGUSR1 end nothing, with a log file or without; Ctrl-C ends the server with exit code 0."""
        log = Path(self.mktemp()).absolute()
        for command in ([], [f"--logfile={log}"]):
            with running("--udp", "off", PORT="0", command=[str(SCRIPTS / "twistd"), *command]) as server:
                if command:
                    wait_for(lambda: log.exists() and "HTTP and WebSocket" in log.read_text())
                else:
                    server.read_until("HTTP and WebSocket")
                for number in (signal.SIGHUP, signal.SIGUSR1):
                    server.process.send_signal(number)
                if command:
                    wait_for(log.with_name(f"{log.name}.1").exists)
                self.assertEqual(server.finish(signal.SIGINT), 0, server.text)

    def test_refusals_do_not_fill_the_log(self) -> None:
        """In a server that has a secret, and therefore may serve other machines."""
        with running("--udp", "off", PORT="0", **{SECRET_VARIABLE: "x" * 40}) as server:
            url = server.read_until("HTTP and WebSocket: http(.*)")[1]
            with self.assertRaises(InvalidStatus):
                connect(f"ws{url}/ws/queue/unknown")
            self.assertEqual(server.finish(), 0)
            self.assertNotIn("unknown", server.text)
            self.assertNotIn("dropping", server.text)
            self.assertIn("Access: ", server.text)
            self.assertNotIn("Only loopback", server.text)

    def test_random_secret_serves_loopback_only(self) -> None:
        """And says why."""
        with running("--udp", "0", PORT="0") as server:
            self.assertRegex(server.read_until("HTTP and WebSocket: (.*)")[1], r"^http://127\.0\.0\.1:\d+$")
            server.read_until("Only loopback is served: .*--auth")
