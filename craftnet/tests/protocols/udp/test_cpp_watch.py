"""craftnet-watch beyond one session over HTTP: several sessions over one UDP connection, and TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import UUID

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import PUBLISH
from craftnet.server.settings import Settings
from craftnet.tests.support.certificates import Issued, issued
from craftnet.tests.support.client_process import Event
from craftnet.tests.support.cpp import CppClient, built
from craftnet.tests.support.live import LiveTestCase, envelope, in_thread, started, token
from craftnet.tests.support.samples import IRON, PLAYER, SESSION
from craftnet.tests.support.udp_relay import RelayedTestCase

OTHERS = [UUID(int=100 + number) for number in range(3)]
UNKNOWN = UUID(int=99)


def completed(session_id: UUID) -> Event:
    """A session's end."""
    data = {"session_id": str(session_id), "result_item_id": str(IRON), "duration_seconds": 60}
    return envelope("crafting.session.complete", data)


class CommandLineTests(SynchronousTestCase):
    """What is wrong is said, with what was expected."""

    def run_with(self, *options: str) -> tuple[int, str]:
        """The exit status, and all output."""
        command = [str(built() / "craftnet-watch"), *options]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env={})
        return run.returncode, run.stdout + run.stderr

    def test_help(self) -> None:
        status, said = self.run_with("--help")
        self.assertEqual(status, 0)
        for option in ("--url", "--session", "--player", "--token", "--token-file", "--ca", "--transport", "--show"):
            self.assertIn(option, said)

    def test_mistakes(self) -> None:
        good = ["--url", "http://127.0.0.1:1", "--session", str(SESSION), "--player", str(PLAYER), "--token", "t"]
        for options, wanted in (
            ([], "--url is missing"),
            (good[:2], "--session is missing"),
            (good[:4], "--player is missing"),
            (good[:6], "CRAFTNET_TOKEN"),
            (["--url", "ftp://x"], "got ftp://x"),
            ([*good, "--session", "7"], "--session must be a UUID, got 7"),
            ([*good, "--transport", "tcp"], "one of auto, udp, ws, got tcp"),
            ([*good, "--show", "often"], "a number of seconds, 0 to 86400, got often"),
            ([*good, "--udp-timeout", "-1"], "a number of seconds, 0 to 86400, got -1"),
            ([*good, "--udp-retry", "nan"], "a number of seconds, 0 to 86400, got nan"),
            ([*good, "--ca", "/nowhere"], "PEM, got /nowhere"),
            ([*good, "--shw", "1"], "no option --shw"),
            ([*good, "--show"], "--show needs a value"),
            ([*good, "--session", str(UNKNOWN), "--transport", "ws"], "several sessions share a UDP connection"),
        ):
            status, said = self.run_with(*options)
            self.assertEqual(status, 2, options)
            self.assertIn(wanted, said)


class SeveralTestCase(LiveTestCase):
    """A service, and a client that follows four of its sessions over one connection."""

    settings = Settings(
        http="tcp:0:interface=127.0.0.1", udp="127.0.0.1:0", backend="memory:retention=0.2", drain_time=0.0
    )
    timeout = 300

    def setUp(self) -> None:
        """Build first: the service would wait."""
        built()
        super().setUp()

    async def follow(self, *options: str) -> CppClient:
        """The client, when all have joined."""
        await self.publish(*(started(session) for session in (SESSION, *OTHERS)))
        client = CppClient(self.url, *options, *(word for other in OTHERS for word in ("--session", str(other))))
        self.addCleanup(client.stop)
        self.passed: list[Event] = []
        for index in range(1, 1 + len(OTHERS)):
            await client.until("joined", index=index)
            self.passed += client.passed
        return client

    async def end(self, client: CppClient) -> None:
        """Completes one session after the other; each is reported, and the others go on."""
        for session in (*OTHERS, SESSION):
            await self.publish(completed(session))
            await client.until("ended", session=str(session), result="completed")
        self.assertEqual(await client.end(), 0)


class SeveralTests(SeveralTestCase):
    """On a good path."""

    async def test_sessions_share_a_connection(self) -> None:
        client = await self.follow("--show", "0.05")
        for session in (SESSION, *OTHERS):
            await client.until("shown", session=str(session))
        await self.end(client)

    async def test_unknown_session(self) -> None:
        """It is refused alone."""
        client = await self.follow("--session", str(UNKNOWN))
        refused = [event["session"] for event in self.passed if event["event"] == "ended"]
        self.assertEqual(refused, [str(UNKNOWN)])
        client.interrupt()
        await client.until("ended", session=str(SESSION), result="stopped")
        self.assertEqual(await client.end(), 1)


class LossyTests(SeveralTestCase, RelayedTestCase):
    """On a path that loses datagrams."""

    loses = 4

    async def test_sessions_share_a_connection(self) -> None:
        await self.end(await self.follow())


class TlsTests(LiveTestCase):
    """Over TLS, with a certificate of an authority of its own."""

    timeout = 300

    def setUp(self) -> None:
        """Write the certificate."""
        built()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        certificate: Issued = issued("craft.example")
        self.root, key, chain = (folder / name for name in ("root.pem", "key.pem", "chain.pem"))
        self.root.write_bytes(certificate.root)
        key.write_bytes(certificate.key)
        chain.write_bytes(certificate.chain)
        self.settings = Settings(
            http=f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={chain}", udp="127.0.0.1:0", drain_time=0.0
        )
        super().setUp()

    async def post(self, *events: Event) -> None:
        """Over TLS, with Python's own client."""
        headers = {"Authorization": f"Bearer {token(None, PUBLISH)}", "Content-Type": "application/json"}
        request = Request(f"{self.url}/events", msgspec.json.encode(events), headers)
        context = ssl.create_default_context(cafile=str(self.root))
        with await in_thread(urlopen, request, context=context) as answer:
            self.assertEqual(msgspec.json.decode(answer.read())["rejected"], [])

    async def test_both_transports(self) -> None:
        """https for …/connect, wss for the feed."""
        for transport in ("udp", "ws"):
            session = UUID(int=1000 + (transport == "ws"))
            await self.post(started(session))
            client = CppClient(self.url, "--transport", transport, "--ca", str(self.root), session=str(session))
            self.addCleanup(client.stop)
            await client.until("progress", transport=transport)
            await self.post(completed(session))
            await client.until("ended", result="completed")

    async def test_certificate_is_verified(self) -> None:
        """Its authority, and the host's name."""
        for options, url, reason in (
            ((), self.url, "unable to get local issuer certificate"),
            (("--ca", str(self.root)), self.url.replace("127.0.0.1", "localhost"), "ostname mismatch"),
        ):
            client = CppClient(url, "--transport", "ws", *options)
            self.addCleanup(client.stop)
            await client.until("lost")
            self.assertIn(reason, await client.error())
            client.interrupt()
            await client.until("ended", result="stopped")
