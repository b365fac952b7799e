"""Tests for `craftnet.client.core.api_requests`, over real connections to a scripted server."""

from __future__ import annotations

import json

from twisted.internet import reactor
from twisted.internet.endpoints import TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.pages import notFound
from twisted.web.server import Site

from craftnet.client.core.api_requests import Requests, connect
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.contract.messages import to_json
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.scripted_server import Answer, ScriptedServer

CONNECT_RESPONSE = UdpConnectResponse(
    session_token="secret",
    server_endpoint="127.0.0.1:8082",
    compression_enabled=False,
    negotiated_packet_size=1200,
    heartbeat_interval=5000,
)


class ConnectTests(TestCase):
    """`connect`"""

    timeout = 10

    def serve(self, *script: Answer) -> str:
        """The URL of a server that answers so."""
        self.server = ScriptedServer(*script)
        self.addCleanup(self.server.stop)
        return f"{self.server.url}/connect"

    async def ask(self, url: str) -> UdpConnectResponse | Ending:
        """Ask it."""
        return await connect(Requests(reactor), url, PLAYER, "the.bearer.token")

    async def test_connect_response(self) -> None:
        self.assertEqual(await self.ask(self.serve(Answer(200, to_json(CONNECT_RESPONSE)))), CONNECT_RESPONSE)
        [(method, path, headers)] = self.server.requests
        self.assertEqual((method, path), ("POST", "/connect"))
        self.assertEqual(
            (headers["authorization"], headers["content-type"]), ("Bearer the.bearer.token", "application/json")
        )
        asked = json.loads(self.server.bodies[0])
        self.assertEqual((asked["player_id"], asked["max_packet_size"]), (str(PLAYER), 65_536))
        self.assertEqual(asked["supported_compression"], ["zstd", "lz4"] if "zstd" in COMPRESSIONS else ["lz4"])
        self.assertRegex(asked["client_version"], r"^\d+\.\d+\.\d+$")

    async def test_ipv6_literal(self) -> None:
        try:
            port = await TCP6ServerEndpoint(reactor, 0, interface="::1").listen(Site(notFound()))
        except CannotListenError:
            raise SkipTest("This machine has no IPv6.") from None
        self.addCleanup(port.stopListening)
        ending = await self.ask(f"http://[::1]:{port.getHost().port}/connect")
        assert isinstance(ending, Ending)
        self.assertEqual(ending.reason, "the server answered 404: Not Found")

    async def test_refused(self) -> None:
        ending = await self.ask(self.serve(Answer(403, b'{"code":403,"message":"Not yours."}')))
        self.assertEqual(ending, Ending(EndingKind.REFUSED, "the server answered 403: Not yours", None, False))

    async def test_no_udp_here(self) -> None:
        for status in (404, 405, 503):
            ending = await self.ask(self.serve(Answer(status)))
            assert isinstance(ending, Ending)
            self.assertTrue(ending.try_another_transport)

    async def test_too_many_requests(self) -> None:
        ending = await self.ask(self.serve(Answer(429, b"", {"Retry-After": "9"})))
        assert isinstance(ending, Ending)
        self.assertEqual((ending.kind, ending.retry_after), (EndingKind.LOST, 9.0))

    async def test_redirects_are_not_followed(self) -> None:
        ending = await self.ask(self.serve(Answer(307, b"", {"Location": "/other"})))
        assert isinstance(ending, Ending)
        self.assertEqual(
            (ending.kind, ending.try_another_transport, len(self.server.requests)), (EndingKind.REFUSED, False, 1)
        )
        self.assertIn("/other", ending.reason)

    async def test_a_wrong_answer(self) -> None:
        for body in (b"", b"{}", b'{"x":' + b"[" * 50_000, to_json(CONNECT_RESPONSE).replace(b"1200", b"12")):
            ending = await self.ask(self.serve(Answer(200, body)))
            assert isinstance(ending, Ending)
            self.assertEqual((ending.kind, ending.try_another_transport), (EndingKind.LOST, True))

    async def test_connection_refused(self) -> None:
        url = self.serve(Answer(200))
        await self.server.stop()
        ending = await self.ask(url)
        assert isinstance(ending, Ending)
        self.assertEqual((ending.kind, ending.try_another_transport), (EndingKind.LOST, False))
