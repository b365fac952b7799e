"""The log of a running server."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from craftnet.access.development import sign_token
from craftnet.tests.support.eventually import wait_for
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import SCRIPTS, running
from craftnet.tests.support.samples import PLAYER

SECRET = "0123456789abcdef" * 3
KEYS = {"time", "level", "logger", "message", "node"}


class JsonLogTests(SynchronousTestCase):
    def test_no_token(self) -> None:
        """Each line is a record; none has a token, wherever a client put one, or the secret."""
        good = sign_token(SECRET.encode(), PLAYER, (), 600.0, time.time())
        bad = sign_token(b"y" * 40, PLAYER, (), 600.0, time.time())
        log = Path(self.mktemp()).absolute()
        port = reserved_port(self)
        options = ["--log-format", "json", "--log-level", "debug", "--udp", "off", "--workers", "2"]
        command = [str(SCRIPTS / "twistd"), f"--logfile={log}"]
        with running(*options, PORT=str(port), CRAFTNET_JWT_SECRET=SECRET, command=command) as server:
            wait_for(lambda: log.exists() and log.read_text().count("HTTP and WebSocket") == 2)
            for token in (good, bad):
                for path in (f"/ws/queue/{PLAYER}", f"/ws/queue/{PLAYER}?token={token}", f"/ws/queue/{token}"):
                    for headers in ({"Authorization": f"Bearer {token}"}, {"X-Token": token}):
                        try:
                            with connect(f"ws://127.0.0.1:{port}{path}", additional_headers=headers) as peer:
                                peer.send(json.dumps({"type": "token", "token": token}))
                                peer.send(token)
                        except (InvalidStatus, ConnectionClosed):
                            pass
                for octets in (
                    f"GET /health?token={token} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n",
                    f"GARBAGE {token}\r\n\r\n",
                ):
                    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer_socket:
                        peer_socket.sendall(octets.encode())
                        peer_socket.shutdown(socket.SHUT_WR)
                        peer_socket.makefile("rb").read()
            self.assertEqual(server.finish(), 0, server.text)
            said = server.text + log.read_text()
        records = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertTrue(all(record.keys() >= KEYS for record in records))
        self.assertEqual({record.get("worker") for record in records}, {None, "0", "1"})
        for private in (*good.split(".")[1:], *bad.split(".")[1:], SECRET):
            self.assertNotIn(private, said)

    def test_rotation_and_levels(self) -> None:
        """SIGUSR1 goes on in a new file; a reload changes levels; --logger gets what they admit."""
        log, file = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        file.write_text('log-format = "json"\nlog-level = ["error"]\n', encoding="utf-8")
        command = [str(SCRIPTS / "twistd"), f"--logfile={log}"]
        port = reserved_port(self)
        with running("--config", str(file), "--udp", "off", PORT=str(port), command=command) as server:
            wait_for(lambda: _answers(port))  # it has said by then what it says at its start.
            file.write_text('log-format = "json"\nlog-level = ["info"]\n', encoding="utf-8")
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "changed: log-level" in log.read_text())
            self.assertNotIn("Access: ", log.read_text())
            server.process.send_signal(signal.SIGUSR1)
            wait_for(log.with_name(f"{log.name}.1").exists)
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "changed: nothing" in log.read_text())
            self.assertEqual(server.finish(), 0)

    def test_mistake(self) -> None:
        with running("--log-level", "loud", PORT="0") as server:
            server.read_until("--log-level loud: expected LEVEL or LOGGER=LEVEL")
            self.assertEqual(server.process.wait(30), 1)

    def test_another_logger(self) -> None:
        """twistd's --logger keeps its format, and gets what the levels admit."""
        command = [str(SCRIPTS / "twistd"), "--logger=craftnet.tests.support.log_prefix.observer"]
        options = ("--udp", "127.0.0.1:0", "--log-level", "warn,craftnet.server=info")
        with running(*options, PORT="0", command=command) as server:
            server.read_until("^marked: HTTP and WebSocket")
            self.assertEqual(server.finish(), 0)
            self.assertNotIn("marked: Site starting", server.text)


def _answers(port: int) -> bool:
    """Whether a server answers at this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return bool(peer.recv(1))
    except OSError:
        return False
