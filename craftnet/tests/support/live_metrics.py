"""The /metrics of a server with everything that it can have: Redis, TLS, UDP, a port for metrics."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

from treq import get

from craftnet.observe.audit.keys import SECRET_VARIABLE as AUDIT_KEY
from craftnet.server.settings import Settings
from craftnet.tests.support.certificates import issued
from craftnet.tests.support.live import LiveTestCase
from craftnet.tests.support.redis_server import RedisServer

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The values of a series in the text format, by labels."""
    return {
        tuple(_LABEL.findall(labels)): float(value) for found, labels, value in _SAMPLE.findall(text) if found == name
    }


def families(text: str) -> dict[str, str]:
    """The kind of every metric in the text format, by the name that its samples begin with."""
    return {name.removesuffix("_total"): kind for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)}


class LiveMetricsTestCase(LiveTestCase):
    """A server that has Redis, TLS, UDP, an audit log and a port for metrics."""

    environ = MappingProxyType({AUDIT_KEY: "ab" * 32})

    def setUp(self) -> None:
        """Start."""
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        certificate, folder = issued("localhost"), Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "key.pem").write_bytes(certificate.key)
        (folder / "chain.pem").write_bytes(certificate.chain)
        self.settings = Settings(
            http=f"ssl:0:interface=127.0.0.1:privateKey={folder / 'key.pem'}:certKey={folder / 'chain.pem'}",
            udp="127.0.0.1:0",
            backend=f"redis:port={redis.port}",
            metrics="tcp:0:interface=127.0.0.1",
            audit=str(folder / "audit.jsonl"),
            drain_time=0.0,
        )
        super().setUp()

    async def metrics(self) -> str:
        """The text that Prometheus gets."""
        (listener,) = (part for part in self.service if getattr(part, "url", None) is not None)
        response = await get(f"{listener.url}/metrics", persistent=False)
        self.assertEqual(response.code, 200)
        text: str = await response.text()
        return text
