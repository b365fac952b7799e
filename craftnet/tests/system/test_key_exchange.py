"""An exchange of keys inside …/connect: a whole server, and our client."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import treq
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.address import Address
from craftnet.client.core.watch import Watch
from craftnet.client.transports.udp import SharedUdpTransport
from craftnet.client.transports.udp_connections import UdpConnections
from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.protocols.udp.core.key_exchange import MLKEM768, KeyExchange, naming
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.runtime.backoff import Backoff
from craftnet.server.build.transports import exchanges_keys
from craftnet.server.settings import Settings
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, started, token
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION
from craftnet.tests.support.watchers import Seen, give_up


class ExchangeTests(LiveTestCase):
    settings = replace(LiveTestCase.settings, udp_key_exchange=MLKEM768)

    async def asked(self, session: Any = SESSION, **more: object) -> tuple[int, dict[str, Any]]:
        """The answer to …/connect."""
        headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {token()}"}
        body = {"player_id": str(PLAYER), "client_version": "1.0.0", **more}
        url = f"{self.url}/udp/sessions/{session}/connect"
        response = await treq.post(url, json=body, headers=headers, persistent=False)
        return response.code, await response.json()

    def watched(self, connections: UdpConnections, session: Any) -> Seen:
        """What a watcher of a session sees."""
        seen, transport = Seen(), SharedUdpTransport(connections, session)
        watching = Watch(reactor, session, [transport], seen, Backoff(first=0.1, cap=0.5)).start()
        self.addCleanup(give_up, watching)
        return seen

    async def test_two_sessions_over_one_connection(self) -> None:
        """The second request names the connection by a token from which its secret does not follow."""
        await self.publish(started())
        await self.publish(started(OTHER_SESSION))
        clock = cast(IClock, self.clock)
        connections = UdpConnections(clock, Address(self.url), PLAYER, token(), exchanges_keys=True)
        for session in (SESSION, OTHER_SESSION):
            seen = self.watched(connections, session)
            await until(partial(getattr, seen, "percents"))
        self.assertEqual(len(connections), 1)

    async def test_what_travels_over_http_opens_nothing(self) -> None:
        """Neither the answer's token nor the one that names the connection is that of the connection."""
        await self.publish(started())
        exchange = KeyExchange()
        _, answer = await self.asked(encapsulation_key=exchange.encapsulation_key)
        answered = SessionToken.parse(answer["session_token"])
        opened = exchange.finish(answered, answer["ciphertext"])
        assert self.service.udp_service is not None
        ticket = self.service.udp_service.tickets.find(answered.connection_id, self.clock.seconds())
        assert ticket is not None
        self.assertEqual(ticket.token.secret, opened.secret)
        now = self.clock.seconds()
        holds = [ticket.holds(each, now) for each in (answered, opened, naming(opened))]
        self.assertEqual(holds, [False, False, True])

    async def test_a_renewed_secret_is_not_named_either(self) -> None:
        await self.publish(started())
        exchange = KeyExchange()
        _, answer = await self.asked(encapsulation_key=exchange.encapsulation_key)
        assert self.service.udp_service is not None
        now = self.clock.seconds()
        ticket = self.service.udp_service.tickets.find(SessionToken.parse(answer["session_token"]).connection_id, now)
        assert ticket is not None
        fresh = SessionToken(ticket.connection_id, ticket.offer(lambda size: b"f" * size, now))
        ticket.renewed()
        self.assertEqual([ticket.holds(each, now) for each in (fresh, naming(fresh))], [False, True])

    async def test_refusals(self) -> None:
        await self.publish(started())
        for key in ("", "AAAA", "_" * 1579, "é", "A" * 1580):
            status, answer = await self.asked(encapsulation_key=key)
            self.assertEqual((status, "encapsulation_key" in answer["message"]), (400, True), answer)
        status, _ = await self.asked(encapsulation_key="A" * 2049)
        self.assertEqual(status, 400)
        status, answer = await self.asked()
        self.assertEqual((status, "ciphertext" in answer), (200, False))


class OffTests(LiveTestCase):
    async def test_a_client_that_wants_it(self) -> None:
        """It uses no UDP, and says why."""
        await self.publish(started())
        clock = cast(IClock, self.clock)
        connections = UdpConnections(clock, Address(self.url), PLAYER, token(), exchanges_keys=True)
        seen, transport = Seen(), SharedUdpTransport(connections, SESSION)
        watching = Watch(reactor, SESSION, [transport], seen, Backoff(first=0.1, cap=0.5)).start()
        self.addCleanup(give_up, watching)
        await until(lambda: seen.endings)
        self.assertIn("--udp-key-exchange is off", seen.endings[0].reason)


class OptionTests(SynchronousTestCase):
    def test_off_by_default(self) -> None:
        self.assertFalse(exchanges_keys(Settings().udp_key_exchange))
        self.assertTrue(exchanges_keys(MLKEM768))

    def test_without_the_library(self) -> None:
        error = self.assertRaises(ConfigurationError, exchanges_keys, MLKEM768, lambda: False)
        self.assertIn("OpenSSL 3.5 or newer", str(error))
