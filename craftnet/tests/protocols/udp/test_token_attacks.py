"""Attacks with session tokens, on sessions and on the handshake."""

from __future__ import annotations

from math import inf
from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.cookie import COOKIE_LIFETIME
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.server.tickets import OPENINGS_BURST, TOKEN_LIFETIME, TOKEN_RENEWAL
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, Selector, SessionOver
from craftnet.tests.support.attack_case import THIRD, AttackCase, opened
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import BEARER, HEARTBEAT, OTHER_ADDRESS, Lab, datagrams, held, table


class TokenTests(AttackCase):
    """Session tokens that do not hold, or are used twice."""

    def test_expired(self) -> None:
        self.assertEqual(self.lab.tickets.find(self.ticket.connection_id, NOW + TOKEN_LIFETIME), None)
        ticket = self.lab.ticket(expires=inf)
        ticket.unused_until = inf
        (hello,) = self.lab.client_connection(ticket).start(NOW).datagrams
        self.assert_refused("unknown_connection", hello, NOW + TOKEN_LIFETIME)

    def test_revoked(self) -> None:
        """Open connections close with the reason, and none can be opened."""
        (hello,) = self.lab.client_connection(self.ticket).start(NOW).datagrams
        self.lab.update(self.peer, running(), NOW)  # lost, and must not be sent again.
        self.ticket.bearer = Principal(PLAYER, frozenset(), NOW + 3600)
        closed, effects = self.lab.endpoint.revoke(lambda bearer: bearer.player_id == PLAYER, NOW)
        self.assertEqual(closed, 1)
        for datagram in datagrams(effects):
            self.client.receive(datagram, NOW)
        self.assertEqual(self.client.over, CloseReason.REVOKED)
        self.assertIsNone(held(self.client).progress.progress)
        self.assert_refused("unknown_connection", hello)

    def test_revocation_of_another_player(self) -> None:
        self.ticket.bearer = Principal(PLAYER, frozenset(), NOW + 3600)
        self.assertEqual(self.lab.endpoint.revoke(lambda bearer: bearer.player_id == OTHER_PLAYER, NOW), (0, []))
        self.assert_well()

    def test_reused_handshake(self) -> None:
        client = self.lab.client_connection(self.ticket)
        (challenge,) = datagrams(self.lab.send(client.start(NOW + 1).datagrams[0], NOW + 1))
        (response,) = client.receive(challenge, NOW + 1).datagrams
        self.assertEqual(opened(self.lab.send(response, NOW + 1)), 1)
        self.assert_refused("repeated", response, NOW + 1)

    def test_same_token_from_two_addresses(self) -> None:
        """The newer connection counts; the older hears nothing more, and cannot be confused with it."""
        second, connection = self.lab.connect(self.ticket, NOW + 1, OTHER_ADDRESS)
        self.assertEqual(self.peer.finished, CloseReason.REPLACED)
        self.assert_refused("forged", self.heartbeat(NOW + 1), NOW + 1)
        self.client, self.peer = second, connection
        self.assert_well(NOW + 1)
        self.assertEqual(len(self.lab.endpoint), 1)

    def test_connection_flood_of_a_token_holder(self) -> None:
        """Each connection receives everything and has limits of its own: their number must be bounded."""
        opened_at_once = 0
        for number in range(50):
            now = NOW + 10 + number / 1000
            connecting = self.lab.client_connection(self.ticket)
            (challenge,) = datagrams(self.lab.send(connecting.start(now).datagrams[0], now))
            (response,) = connecting.receive(challenge, now).datagrams
            opened_at_once += opened(self.lab.send(response, now))
        self.assertEqual(opened_at_once, OPENINGS_BURST)
        self.assertEqual(self.lab.counted["flooding"], 50 - OPENINGS_BURST)
        self.client, self.peer = self.lab.connect(self.ticket, NOW + 12)
        self.assert_well(NOW + 12)

    def test_restart_with_an_old_token(self) -> None:
        """A server that restarted knows no tokens and has another cookie secret: it answers nothing."""
        restarted = Lab(seed=99)
        (hello,) = self.lab.client_connection(self.ticket).start(NOW).datagrams
        for datagram in (hello, self.heartbeat()):
            self.assertEqual(restarted.send(datagram), [])
        self.assertEqual(restarted.counted, {"unknown_connection": 2})

    def test_a_stolen_token_after_renewal(self) -> None:
        """Once the client has the next one, the old one opens nothing."""
        attacker = self.lab.client_connection(self.ticket)
        (hello,) = attacker.start(NOW).datagrams
        old = self.client.token
        self._live(NOW + TOKEN_RENEWAL + 1)
        self.assertNotEqual(self.client.token.secret, old.secret)
        self.assert_refused("forged", hello, NOW + TOKEN_RENEWAL + 1)
        renewed = ClientConnection(
            self.client.token, {0: running().session_id}, heartbeat=HEARTBEAT, random=self.lab.random.randbytes
        )
        (hello,) = renewed.start(NOW + TOKEN_RENEWAL + 2).datagrams
        self.assertEqual(len(datagrams(self.lab.send(hello, NOW + TOKEN_RENEWAL + 2))), 1)

    def _live(self, until: float) -> None:
        """Both sides on a perfect line."""
        while True:
            due = self.lab.endpoint.deadline
            assert due is not None
            now = min(due, self.client.deadline)
            if now > until:
                return
            inbox = datagrams(self.lab.endpoint.tick(now)) if due <= now else []
            outgoing = list(self.client.tick(now).datagrams) if self.client.deadline <= now else []
            for datagram in inbox:
                outgoing += self.client.receive(datagram, now).datagrams
            for datagram in outgoing:
                for answer in datagrams(self.lab.send(datagram, now)):
                    self.client.receive(answer, now)

    def test_renewal_whose_acknowledgement_is_lost(self) -> None:
        """Both tokens hold until one of them is used."""
        offered = SessionToken(self.ticket.connection_id, self.ticket.offer(self.lab.random.randbytes, NOW))
        (old,) = self.lab.client_connection(self.ticket).start(NOW).datagrams
        self.assertEqual(len(datagrams(self.lab.send(old))), 1)
        client = ClientConnection(
            offered, {0: running().session_id}, heartbeat=HEARTBEAT, random=self.lab.random.randbytes
        )
        (challenge,) = datagrams(self.lab.send(client.start(NOW + 1).datagrams[0], NOW + 1))
        (response,) = client.receive(challenge, NOW + 1).datagrams
        self.assertEqual(opened(self.lab.send(response, NOW + 1)), 1)
        self.assert_refused("forged", old, NOW + 1)


class SessionsTests(AttackCase):
    """Several sessions on one connection."""

    def setUp(self) -> None:
        super().setUp()
        self.lab.join(self.ticket, OTHER_SESSION)
        self.client.watch(1, OTHER_SESSION)

    def test_joining_with_a_token_that_was_renewed_away(self) -> None:
        old = self.client.token
        self.ticket.offer(self.lab.random.randbytes, NOW)
        self.ticket.renewed()
        self.assertIsNone(self.lab.endpoint.connection(old, PLAYER, BEARER, NOW))

    def test_joining_another_players_connection(self) -> None:
        """Neither with the connection id alone, nor as another player, nor with another player's bearer token."""
        other = Principal(OTHER_PLAYER, frozenset(), NOW + 3600)
        for token, player, bearer in (
            (SessionToken(self.peer.connection_id, bytes(32)), PLAYER, BEARER),
            (self.client.token, OTHER_PLAYER, other),
            (self.client.token, PLAYER, other),
            (self.client.token, PLAYER, None),
        ):
            self.assertIsNone(self.lab.endpoint.connection(token, player, bearer, NOW))

    def test_acknowledgement_of_a_session_that_never_was(self) -> None:
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({2: 0})))
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({255: 1})))

    def test_acknowledgement_of_another_sessions_table(self) -> None:
        """It changes nothing, not even for the sessions of which it speaks the truth."""
        self.lab.update(self.peer, table(3), NOW, 1)
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({0: 3, 1: 3})))
        second = self.peer.sessions.get(1)
        assert second is not None and second.tables is not None
        self.assertIsNone(second.tables.baseline)

    def test_leaving_a_session_that_never_was(self) -> None:
        self.assert_refused("out_of_range", self.forge(DatagramKind.LEAVE, bytes([1, 2])))
        self.assertEqual(len(self.peer.sessions.sent_states), 2)

    def test_leave_flood(self) -> None:
        """Each is answered with what is not acknowledged yet, at its own pace; then with nothing."""
        sent = 0
        for number in range(1000):
            now = NOW + number / 100
            sent += len(datagrams(self.lab.send(self.forge(DatagramKind.LEAVE, b"\1"), now)))
        self.assertLess(sent, 20)
        self.assertEqual(self.lab.counted["accepted"] + self.lab.counted["flooding"], 1000)

    def test_a_selector_of_a_session_that_never_was(self) -> None:
        """The server may be ahead of its own HTTP answer: its records are kept, and are no news yet."""
        server = self.peer.channel
        body = codec.encode_state_record(Selector(200)) + codec.encode_state_record(SessionOver(CloseReason.ENDED))
        self.assertEqual(self.client.receive(server.seal(DatagramKind.STATE, body), NOW).events, [])
        self.assertEqual(self.client.sessions, {0: SESSION, 1: OTHER_SESSION})
        self.assertIsNone(self.client.over)

    def test_a_session_on_a_recorded_handshake(self) -> None:
        """A session added after a handshake does not return with a replay of it."""
        client = self.lab.client_connection(self.ticket)
        (challenge,) = datagrams(self.lab.send(client.start(NOW + 1).datagrams[0], NOW + 1))
        (response,) = client.receive(challenge, NOW + 1).datagrams
        self.lab.send(response, NOW + 1)
        self.lab.join(self.ticket, UUID(int=3), now=NOW + 1)
        self.assert_refused("repeated", response, NOW + 1)


class HandshakeTests(AttackCase):
    """Before there is a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.connecting = self.lab.client_connection(self.lab.ticket())
        (self.hello,) = self.connecting.start(NOW).datagrams

    def test_small_hello(self) -> None:
        for size in range(OVERHEAD, 512, 13):
            self.assert_refused("truncated", self.hello[:size])

    def test_spoofed_hello_ratio(self) -> None:
        """A victim whose address is forged never gets more than was sent in its name; the server keeps nothing."""
        received = sent = 0
        for _ in range(100):
            received += len(self.hello)
            sent += sum(map(len, datagrams(self.lab.send(self.hello, address=OTHER_ADDRESS))))
        self.assertLess(sent, received / 6)
        self.assertEqual(len(self.lab.endpoint), 1)

    def test_stale_cookie(self) -> None:
        (challenge,) = datagrams(self.lab.send(self.hello))
        (response,) = self.connecting.receive(challenge, NOW).datagrams
        self.assert_refused("cookie_expired", response, NOW + COOKIE_LIFETIME + 0.1)

    def test_cookie_of_another_address(self) -> None:
        (challenge,) = datagrams(self.lab.send(self.hello))
        (response,) = self.connecting.receive(challenge, NOW).datagrams
        self.assert_refused("cookie_wrong", response, address=OTHER_ADDRESS)

    def test_flood_of_forged_hellos_costs_nothing_after_a_while(self) -> None:
        forged = self.hello[:-1] + bytes([self.hello[-1] ^ 1])
        for _ in range(300):
            self.assertEqual(self.lab.send(forged, address=OTHER_ADDRESS), [])
        self.assertGreater(self.lab.counted["throttled"], 190)
        self.assertEqual(len(datagrams(self.lab.send(self.hello, address=THIRD))), 1)
        self.assertEqual(len(datagrams(self.lab.send(self.hello, NOW + 10, OTHER_ADDRESS))), 1)
