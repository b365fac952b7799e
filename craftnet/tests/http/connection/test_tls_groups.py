"""The key exchange of TLS: hybrid post-quantum by default, and required where the operator says so."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

from OpenSSL.SSL import TLS_CLIENT_METHOD, Connection, Context, SysCallError, ZeroReturnError
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.processes import Running, running

HYBRID = "X25519MLKEM768"
CONFIGURATION = f"""\
openssl_conf = craftnet
[craftnet]
ssl_conf = ssl
[ssl]
system_default = everything
[everything]
Groups = {HYBRID}
"""


class Answer(NamedTuple):
    """What a client negotiated and got."""

    version: str
    group: str | None
    body: str


def get(port: int, path: str) -> Answer:
    """A request of a client with OpenSSL's defaults, that of the cryptography package."""
    client = Connection(Context(TLS_CLIENT_METHOD), socket.create_connection(("127.0.0.1", port), timeout=30))
    client.setblocking(1)
    client.set_connect_state()
    client.do_handshake()
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    octets = b""
    try:
        while piece := client.recv(65536):
            octets += piece
    except (ZeroReturnError, SysCallError):
        pass
    finally:
        client.close()
    return Answer(client.get_protocol_version_name(), client.get_group_name(), octets.decode())


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        """With a certificate."""
        pem = Path(self.mktemp()).absolute()
        pem.write_bytes(self_signed("localhost"))
        self.http = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"

    def port(self, server: Running) -> int:
        return int(server.read_until(r"HTTP and WebSocket: https://127\.0\.0\.1:(\d+)")[1])

    def offer_classical(self, port: int) -> str:
        """What openssl says about a handshake that offers X25519 alone."""
        program = shutil.which("openssl")
        if program is None:
            raise SkipTest("openssl is not installed")
        command = [program, "s_client", "-connect", f"127.0.0.1:{port}", "-groups", "X25519"]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def test_default(self) -> None:
        """Hybrid where the client can, and others are served; both are counted, each handshake once."""
        with running("--http", self.http, "--udp", "off") as server:
            port = self.port(server)
            self.assertEqual(get(port, "/health/live")[:2], ("TLSv1.3", HYBRID))
            self.assertIn("New, TLSv1.3", self.offer_classical(port))
            text = get(port, "/metrics").body
            counted = re.findall(r"^craftnet_tls_handshakes_total\{(.*)\} (\S+)$", text, re.MULTILINE)
            self.assertEqual(
                {tuple(sorted(labels.split(","))): float(number) for labels, number in counted if float(number)},
                {(f'group="{HYBRID}"', 'version="TLSv1.3"'): 2.0, ('group="x25519"', 'version="TLSv1.3"'): 1.0},
            )
            self.assertEqual(server.finish(), 0)

    def test_required(self) -> None:
        """OPENSSL_CONF with this group alone refuses every client that cannot."""
        file = Path(self.mktemp()).absolute()
        file.write_text(CONFIGURATION, encoding="ascii")
        with running("--http", self.http, "--udp", "off", OPENSSL_CONF=str(file)) as server:
            port = self.port(server)
            self.assertIn("handshake failure", self.offer_classical(port))
            self.assertEqual(get(port, "/health/live").group, HYBRID)
            self.assertEqual(server.finish(), 0)
