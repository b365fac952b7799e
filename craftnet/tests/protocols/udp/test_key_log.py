"""The key log of the server: what it holds, who may read it, and where it is refused."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

import craftnet
from craftnet.access.development import SECRET_VARIABLE
from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.protocols.udp.core.keys import client_key, server_key
from craftnet.protocols.udp.server.key_log import GENERATIONS, KEYLOG_VARIABLE, KeyLog
from craftnet.server.build import build
from craftnet.server.settings import Settings
from craftnet.tests.support.live import SECRET, LiveTestCase
from craftnet.tests.support.udp_lab import Lab

VECTORS = Path(craftnet.__file__).parent.parent / "protocol" / "vectors.json"
LINE = re.compile(r"CRAFTNET_UDP_1 ([0-9a-f]{8}) (client|server) (\d+) ([0-9a-f]{32}) ([0-9a-f]{24})")


class KeyLogTests(SynchronousTestCase):
    def test_keys_are_those_of_the_vectors(self) -> None:
        """Of each direction, for as many generations as an hour has."""
        vectors: dict[str, Any] = json.loads(VECTORS.read_bytes())
        secret, *nonces = (bytes.fromhex(vectors[name]) for name in ("secret", "client_nonce", "server_nonce"))
        path = Path(self.mktemp())
        KeyLog(path)(0xDEADBEEF, client_key(secret, *nonces), server_key(secret, *nonces))
        lines = path.read_text().splitlines()
        self.assertEqual(len(lines), 2 * GENERATIONS)
        for sender in ("client", "server"):
            for generation, each in enumerate(vectors["keys"][sender]):
                self.assertIn(f"CRAFTNET_UDP_1 deadbeef {sender} {generation} {each['key']} {each['iv']}", lines)

    def test_file_is_its_owners_alone(self) -> None:
        """Even if it existed before, readable by all users."""
        path = Path(self.mktemp())
        path.write_text("")
        path.chmod(0o644)
        KeyLog(path)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_file_that_cannot_be_written(self) -> None:
        self.assertRaisesRegex(ConfigurationError, "cannot write", KeyLog, Path(self.mktemp()) / "keys")


class RefusalTests(SynchronousTestCase):
    """It is for development, on this machine."""

    def refused(self, environ: dict[str, str], **settings: Any) -> str:
        """Why the service does not start."""
        wanted = Settings(http="tcp:0:interface=127.0.0.1", **settings)
        error = self.assertRaises(
            ConfigurationError, build, wanted, cast(IClock, reactor), {KEYLOG_VARIABLE: self.mktemp(), **environ}
        )
        return str(error)

    def test_tokens_of_others(self) -> None:
        said = self.refused({}, auth="jwt:jwks=http://127.0.0.1:1/keys", udp="127.0.0.1:0")
        self.assertIn("needs development tokens", said)

    def test_other_machines(self) -> None:
        said = self.refused({SECRET_VARIABLE: SECRET}, udp="0.0.0.0:0")
        self.assertIn("loopback", said)


class DispatcherTests(SynchronousTestCase):
    def test_connection_is_logged(self) -> None:
        """Once, when it opens, with the keys that it uses."""
        path = Path(self.mktemp())
        lab = Lab(log_keys=KeyLog(path))
        ticket = lab.ticket()
        lab.connect(ticket)
        lines = path.read_text().splitlines()
        matches = [LINE.fullmatch(line) for line in lines]
        self.assertEqual({match[1] for match in matches if match}, {f"{ticket.connection_id:08x}"})
        self.assertEqual((len(lines), None in matches), (2 * GENERATIONS, False))


class LiveKeyLogTests(LiveTestCase):
    """A service with development tokens on loopback, which is where a key log is allowed."""

    def setUp(self) -> None:
        """Start with the variable set."""
        self.path = Path(self.mktemp())
        self.environ = {KEYLOG_VARIABLE: str(self.path)}
        super().setUp()

    def test_service_starts_with_it(self) -> None:
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
