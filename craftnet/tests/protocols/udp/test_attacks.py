"""One attack each, on the server or on the client, and what becomes of it."""

from __future__ import annotations

from math import inf
from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.messages import Status
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.client.received_state import MaterialsChanged
from craftnet.protocols.udp.core.cookie import COOKIE_LIFETIME, Address
from craftnet.protocols.udp.core.keys import HandshakeKey, SessionToken, client_key, server_key
from craftnet.protocols.udp.core.pacing import MAX_RATE
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, PacketProtection
from craftnet.protocols.udp.core.replay_window import WINDOW_SIZE
from craftnet.protocols.udp.core.table_delta import KEPT_TABLES
from craftnet.protocols.udp.server import closing, connection, forgery_limiter, path_validation
from craftnet.protocols.udp.server.connection import Send
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE, ConnectionGone, ConnectionOpened, Effect
from craftnet.protocols.udp.server.tickets import OPENINGS_BURST, RENEWAL, TOKEN_LIFETIME
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, HeartbeatBody, Selector, SessionOver
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.udp_lab import BEARER, CLIENT, HEARTBEAT, OTHER_ADDRESS, SECRET, Lab, datagrams, held, table

THIRD: Address = ("203.0.113.7", 5)


def opened(effects: list[Effect]) -> int:
    """How many peers were made."""
    return sum(isinstance(effect, ConnectionOpened) for effect in effects)


def gone(effects: list[Effect]) -> int:
    """How many peers ended."""
    return sum(isinstance(effect, ConnectionGone) for effect in effects)


def sent_to(effects: list[Effect], address: Address) -> list[bytes]:
    """The datagrams to that address."""
    return [effect.datagram for effect in effects if isinstance(effect, Send) and effect.address == address]


class AttackCase(SynchronousTestCase):
    """A connected client, and what an attacker can see and send."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket()
        self.client, self.peer = self.lab.connect(self.ticket)
        self.lab.counted.clear()

    def heartbeat(self, now: float = NOW) -> bytes:
        """A datagram of the client's, long enough to be answered with a challenge."""
        channel = self._channel(self.client)
        return channel.seal(DatagramKind.HEARTBEAT, codec.encode_heartbeat(self.client.pulse.beat(now, now)))

    def forge(self, kind: DatagramKind, body: bytes) -> bytes:
        """A datagram of a misbehaving client with valid keys."""
        return self._channel(self.client).seal(kind, body)

    def _channel(self, client: ClientConnection) -> PacketProtection:
        channel = client.channel
        assert channel is not None
        return channel

    def assert_well(self, now: float = NOW) -> None:
        """The connection lives: an update arrives."""
        self.assertIsNone(self.peer.finished)
        sent = datagrams(self.lab.endpoint.update(self.peer, running(percent=50.0 + now - NOW), now))
        self.assertTrue(any(self.client.receive(datagram, now).events for datagram in sent))

    def assert_refused(self, outcome: str, datagram: bytes, now: float = NOW, address: Address = CLIENT) -> None:
        """Counted under that word, and not answered."""
        before = self.lab.counted[outcome]
        self.assertEqual(self.lab.send(datagram, now, address), [])
        self.assertEqual(self.lab.counted[outcome], before + 1, self.lab.counted)


class JunkTests(AttackCase):
    """Datagrams that are none."""

    def test_zero_length_flood(self) -> None:
        for _ in range(1000):
            self.assertEqual(self.lab.send(b""), [])
        self.assertEqual(self.lab.counted, {"truncated": 1000})
        self.assert_well()

    def test_short_flood(self) -> None:
        for size in range(1, OVERHEAD):
            self.assert_refused("truncated", b"\x45" * size)
        self.assert_well()

    def test_oversize(self) -> None:
        self.assert_refused("overlong", b"\x45" * (MAX_RECEIVED_SIZE + 1))

    def test_unknown_type(self) -> None:
        for first in (0x40, 0x42, 0x44, 0x49, 0x5E, 0x5F):
            self.assert_refused("type", bytes([first]) + bytes(60))

    def test_unknown_version(self) -> None:
        for first in (0x05, 0x85, 0xC5):
            self.assert_refused("reserved", bytes([first]) + self.heartbeat()[1:])

    def test_random_ids(self) -> None:
        for number in range(500):
            self.assert_refused("unknown_connection", b"\x46" + number.to_bytes(4, "big") + bytes(60))

    def test_valid_id_with_a_bad_tag(self) -> None:
        datagram = self.heartbeat()
        self.assert_refused("forged", datagram[:-1] + bytes([datagram[-1] ^ 1]))
        self.assert_well()


class SequenceTests(AttackCase):
    """Sequences that are not as they should be."""

    def test_forged_maximum_sequence(self) -> None:
        for low in (0xFFFF, 0x8000, 0x7FFF):
            self.assert_refused("forged", self.heartbeat()[:5] + low.to_bytes(2, "big") + bytes(48))
        self.lab.send(self.heartbeat())
        self.assertEqual(self.lab.counted["accepted"], 1)

    def test_replay_at_the_edges_of_the_window(self) -> None:
        channel = self._channel(self.client)
        sealed = {number: self.heartbeat() for number in range(channel.sent + 1, channel.sent + WINDOW_SIZE + 2)}
        newest = max(sealed)
        self.lab.send(sealed[newest])
        self.lab.send(sealed[newest - WINDOW_SIZE + 1])
        self.assert_refused("replayed", sealed[newest])
        self.assert_refused("replayed", sealed[newest - WINDOW_SIZE + 1])
        self.assert_refused("stale", sealed[newest - WINDOW_SIZE])

    def test_wrap_around(self) -> None:
        """The 16 bits on the wire wrap; datagrams recorded before are refused afterwards."""
        first = self.heartbeat()
        self.lab.send(first)
        for _ in range(4):
            self._channel(self.client).sent += 0x4000
            self.lab.send(self.heartbeat(), NOW + 1)
        self.assert_refused("forged", first)
        self.assert_well(NOW + 1)

    def test_acknowledgement_of_a_state_that_was_never_sent(self) -> None:
        self.lab.endpoint.update(self.peer, running(), NOW)
        channel = self._channel(self.client)
        channel.window.newest += 5
        self.assert_refused("out_of_range", self.forge(DatagramKind.RESYNC, b""))

    def test_acknowledgement_of_a_table_that_was_never_sent(self) -> None:
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({0: 1})))
        self.lab.endpoint.update(self.peer, table(3), NOW)
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({0: 4})))


class MixTests(AttackCase):
    """Something real in a place where it does not belong."""

    def test_reflection_to_the_sender(self) -> None:
        (datagram,) = datagrams(self.lab.endpoint.update(self.peer, running(), NOW))
        self.assert_refused("type", datagram)
        for reflected in datagrams(self.lab.endpoint.tick(NOW + HEARTBEAT)):
            self.assertEqual(self.lab.send(reflected, NOW + HEARTBEAT), [])
        own = self.heartbeat(NOW + HEARTBEAT)
        self.assertEqual(self.client.receive(own, NOW + HEARTBEAT).events, [])
        self.assertEqual(gone(self.lab.endpoint.tick(NOW + HEARTBEAT)), 0)

    def test_one_layout_replayed_as_the_other(self) -> None:
        """A sealed datagram under another kind, a handshake as a sealed one, a posted record as a datagram."""
        (request,) = self.client.resync(NOW).datagrams
        for first in (0x45, 0x46, 0x48, 0x4A):
            self.assert_refused("forged", bytes([first]) + request[1:])
        (hello,) = self.lab.client_connection(self.ticket).start(NOW).datagrams
        self.assert_refused("forged", b"\x46" + hello[1:])
        self.assert_refused("reserved", bytes.fromhex("01100030") + bytes(44))

    def test_packet_of_another_session(self) -> None:
        other, _ = self.lab.connect(self.lab.ticket(), address=OTHER_ADDRESS)
        channel = self._channel(other)
        stranger = channel.seal(DatagramKind.CLOSE, codec.encode_close(CloseReason.LEFT))
        self.assert_refused("forged", stranger[:1] + self.peer.connection_id.to_bytes(4, "big") + stranger[5:])
        self.assert_well()

    def test_kinds_that_only_the_server_may_send(self) -> None:
        self.assert_refused("type", self.forge(DatagramKind.STATE, b""))
        self.assert_refused("type", self.forge(DatagramKind.PATH_CHALLENGE, bytes(8)))

    def test_values_out_of_range_and_wrong_lengths(self) -> None:
        for outcome, kind, body in (
            ("out_of_range", DatagramKind.CLOSE, b"\x00"),
            ("out_of_range", DatagramKind.CLOSE, b"\x80"),
            ("trailing", DatagramKind.CLOSE, b"\x01\x01"),
            ("trailing", DatagramKind.RESYNC, bytes(1)),
            ("truncated", DatagramKind.ACK, bytes(3)),
            ("trailing", DatagramKind.ACK, bytes(8)),
            ("out_of_range", DatagramKind.ACK, bytes(9)),
            ("truncated", DatagramKind.HEARTBEAT, bytes(23)),
            ("trailing", DatagramKind.HEARTBEAT, bytes(25)),
            ("truncated", DatagramKind.PATH_RESPONSE, bytes(7)),
            ("truncated", DatagramKind.LEAVE, b""),
            ("out_of_range", DatagramKind.LEAVE, bytes(2)),
        ):
            self.assert_refused(outcome, self.forge(kind, body))
        self.assertEqual(self.lab.counted["accepted"], 0)
        self.assert_well()

    def test_set_padding_bits(self) -> None:
        """Every reserved bit of a client's datagrams: the padding of its handshake, here under a valid MAC."""
        now, client = NOW + 1, self.lab.client_connection(self.ticket)
        (hello,) = client.start(now).datagrams
        (challenge,) = datagrams(self.lab.send(hello, now))
        (response,) = client.receive(challenge, now).datagrams
        key = HandshakeKey.of(self.ticket.token.secret)
        for datagram, begin in ((hello, 21), (response, 61)):
            for position in (begin, (begin + 496) // 2, 495):
                for bit in range(8):
                    octets = bytearray(datagram[:496])
                    octets[position] ^= 1 << bit
                    self.assert_refused("reserved", key.sign(bytes(octets)), now)
        self.assertEqual(opened(self.lab.send(key.sign(response[:496]), now)), 1)

    def test_unknown_material_index(self) -> None:
        """To the client, which holds a table of two: row 2, and row 3 of three."""
        (full,) = datagrams(self.lab.endpoint.update(self.peer, table(), NOW))
        self.client.receive(full, NOW)
        server = self.peer.channel
        for delta in ("05 00000002 01 0003 01 a030", "05 00000002 01 0003 01 e030"):
            output = self.client.receive(server.seal(DatagramKind.STATE, bytes.fromhex(delta)), NOW)
            self.assertEqual(output.events, [])
        self.assertEqual(held(self.client).materials.materials, table())
        self.assert_well()


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
        self.lab.endpoint.update(self.peer, running(), NOW)  # lost, and must not be sent again.
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
        self._live(NOW + RENEWAL + 1)
        self.assertNotEqual(self.client.token.secret, old.secret)
        self.assert_refused("forged", hello, NOW + RENEWAL + 1)
        renewed = ClientConnection(
            self.client.token, {0: running().session_id}, heartbeat=HEARTBEAT, random=self.lab.random.randbytes
        )
        (hello,) = renewed.start(NOW + RENEWAL + 2).datagrams
        self.assertEqual(len(datagrams(self.lab.send(hello, NOW + RENEWAL + 2))), 1)

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
        self.lab.endpoint.update(self.peer, table(3), NOW, 1)
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


class MigrationTests(AttackCase):
    """Who else claims to be the client."""

    def _move(self, now: float, to: Address, trip: float = 0.0) -> None:
        """The client moves to another address and proves it; a round trip there takes `seconds`."""
        (challenge,) = sent_to(self.lab.send(self.heartbeat(now), now, to), to)
        (answer,) = self.client.receive(challenge, now).datagrams
        self.lab.send(answer, now + trip, to)

    def test_a_client_that_moves_keeps_its_connection(self) -> None:
        self.lab.endpoint.update(self.peer, running(), NOW)
        self._move(NOW + 1, OTHER_ADDRESS)
        self.assertEqual(self.peer.address, OTHER_ADDRESS)
        self.assert_well(NOW + 1)

    def test_a_new_path_is_measured_from_the_start(self) -> None:
        """The round trip at the old address says nothing about the new one: no delay there counts as queueing."""
        self._beat(NOW + HEARTBEAT, 0.05, CLIENT)
        before = self.peer.conditions.round_trip
        assert before is not None
        self.assertGreater(before, 0)
        moved = NOW + HEARTBEAT + 1
        self._move(moved, OTHER_ADDRESS, 0.4)
        self.assertAlmostEqual(self.peer.conditions.round_trip or 0, 0.4, places=3)  # of the challenge and its answer.
        self._beat(moved + HEARTBEAT, 0.4, OTHER_ADDRESS)
        self.assertAlmostEqual(self.peer.conditions.round_trip or 0, 0.4, places=3)
        self.assertEqual(self.peer.rate, MAX_RATE)

    def test_a_delay_on_the_same_line_is_a_queue(self) -> None:
        for number in (1, 2):
            self._beat(NOW + number * HEARTBEAT, 0.05 if number == 1 else 2.0, CLIENT)
        self.assertEqual(self.peer.rate, MAX_RATE / 2)

    def _beat(self, now: float, trip: float, address: Address) -> None:
        """The server's heartbeat goes out at `now`, and the client's comes in a round trip later."""
        for datagram in datagrams(self.lab.endpoint.tick(now)):
            self.client.receive(datagram, now + trip / 2)
        self.lab.send(self.heartbeat(now + trip / 2), now + trip, address)

    def test_full_state_follows_a_move(self) -> None:
        self.lab.endpoint.update(self.peer, table(), NOW)
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        (answer,) = self.client.receive(challenge, NOW).datagrams
        (state,) = sent_to(self.lab.send(answer, address=OTHER_ADDRESS), OTHER_ADDRESS)
        self.assertEqual(self.client.receive(state, NOW).events, [MaterialsChanged(table())])

    def test_client_claiming_a_victims_address(self) -> None:
        """The victim receives no more than was sent in its name, and no state."""
        received = sent = 0
        for number in range(50):
            now = NOW + number / 5
            datagram = self.heartbeat(now)
            received += len(datagram)
            sent += sum(map(len, sent_to(self.lab.send(datagram, now, OTHER_ADDRESS), OTHER_ADDRESS)))
        self.assertLess(sent, received / 3)
        self.assertEqual(self.peer.address, CLIENT)

    def test_client_that_guesses_what_its_victim_was_asked(self) -> None:
        """It sends from an address at which it cannot hear: however often it answers there, nothing moves."""
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        right = self._channel(self.client).open(challenge).body
        for position in range(8 * len(right)):
            wrong = (int.from_bytes(right, "big") ^ 1 << position).to_bytes(8, "big")
            self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, wrong), NOW + 1, OTHER_ADDRESS)
            self.assertEqual(self.peer.address, CLIENT)
        self.lab.send(self.forge(DatagramKind.PATH_RESPONSE, right), NOW + 1, OTHER_ADDRESS)
        self.assertEqual(self.peer.address, OTHER_ADDRESS)

    def test_short_datagrams_from_a_new_address_are_not_answered_with_longer_ones(self) -> None:
        (request,) = self.client.resync(NOW).datagrams
        self.assertEqual(sent_to(self.lab.send(request, address=OTHER_ADDRESS), OTHER_ADDRESS), [])

    def test_forwarded_copy(self) -> None:
        """An attacker on the path relays datagrams from an own address, and faster: it receives only a challenge."""
        datagram = self.heartbeat()
        (challenge,) = sent_to(self.lab.send(datagram, address=OTHER_ADDRESS), OTHER_ADDRESS)
        self.assert_refused("replayed", datagram)
        (answer,) = self.client.receive(challenge, NOW).datagrams  # even when it is handed on to the client:
        self.assert_refused("path_wrong", answer, address=CLIENT)  # the client answers from where it is.
        self.assertEqual(self.peer.address, CLIENT)
        self.assert_well()

    def test_an_old_copy_moves_nothing(self) -> None:
        old, new = self.heartbeat(), self.heartbeat()
        self.lab.send(new)
        self.assertEqual(sent_to(self.lab.send(old, address=OTHER_ADDRESS), OTHER_ADDRESS), [])

    def test_an_answer_that_comes_too_late(self) -> None:
        (challenge,) = sent_to(self.lab.send(self.heartbeat(), address=OTHER_ADDRESS), OTHER_ADDRESS)
        (answer,) = self.client.receive(challenge, NOW).datagrams
        self.assert_refused("path_wrong", answer, NOW + path_validation.CHALLENGE_LIFETIME, OTHER_ADDRESS)

    def test_an_answer_to_no_challenge(self) -> None:
        self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, bytes(8)))
        self.assert_refused("path_wrong", self.forge(DatagramKind.PATH_RESPONSE, bytes(8)), address=OTHER_ADDRESS)

    def test_migration_flapping(self) -> None:
        """Between two addresses, a hundred times a second: a challenge a second at most."""
        challenges = 0
        for number in range(1000):
            now = NOW + number / 100
            effects = self.lab.send(self.heartbeat(now), now, OTHER_ADDRESS if number % 2 else THIRD)
            challenges += len(sent_to(effects, OTHER_ADDRESS)) + len(sent_to(effects, THIRD))
        self.assertEqual(self.lab.counted, {"accepted": 1000})
        self.assertLessEqual(challenges, 11)
        self.assertEqual(self.peer.address, CLIENT)
        self.assertIsNone(self.peer.finished)


class StateTests(AttackCase):
    """Attacks on deltas, by a client or from the path."""

    def test_delta_against_an_evicted_baseline(self) -> None:
        """The baseline is no longer kept: the whole table is sent, and the client has it."""
        (full,) = datagrams(self.lab.endpoint.update(self.peer, table(), NOW))
        self.client.receive(full, NOW)
        for answer in self.client.tick(self.client.deadline).datagrams:
            self.lab.send(answer)
        sizes = []
        for version in range(2, KEPT_TABLES + 4):
            now = NOW + version
            sizes += [len(d) for d in datagrams(self.lab.endpoint.update(self.peer, table(version, iron=version), now))]
        self.assertGreater(max(sizes), min(sizes) + 40)
        self.assertGreater(sizes[-1], min(sizes) + 40)

    def test_a_client_that_acknowledges_an_evicted_table(self) -> None:
        for version in range(1, KEPT_TABLES + 3):
            self.lab.endpoint.update(self.peer, table(version, iron=version), NOW)
        self.lab.send(self.forge(DatagramKind.ACK, codec.encode_held({0: 1})))
        self.assertEqual(self.lab.counted["accepted"], 1)

    def test_a_client_without_the_baseline_asks_for_everything(self) -> None:
        server = self.peer.channel
        output = self.client.receive(server.seal(DatagramKind.STATE, bytes.fromhex("05 00000009 01 0002 01 4128")), NOW)
        self.assertEqual([datagram[0] & 0x1F for datagram in output.datagrams], [DatagramKind.RESYNC])

    def test_resync_flood(self) -> None:
        self.lab.endpoint.update(self.peer, running(), NOW)
        answered = 0
        for number in range(150):
            now = NOW + number / 100
            answered += len(datagrams(self.lab.send(self.forge(DatagramKind.RESYNC, b""), now)))
        self.assertLessEqual(answered, 5)

    def test_datagram_flood_of_an_authentic_client(self) -> None:
        for number in range(1000):
            self.lab.send(self.heartbeat(NOW + number / 1000), NOW + number / 1000)
        self.assertGreater(self.lab.counted["flooding"], 650)
        self.assertEqual(self.lab.counted["accepted"] + self.lab.counted["flooding"], 1000)

    def test_a_flood_in_a_victims_name_does_not_outlast_itself(self) -> None:
        """A datagram from a connection's address is always decrypted; the cost of forgeries is soon forgotten."""
        forged = self.heartbeat()[:-16] + bytes(16)
        for _ in range(50 * int(forgery_limiter.FORGERY_BURST)):
            self.lab.send(forged)
        later = NOW + 1
        (hello,) = self.lab.client_connection(self.ticket).start(later).datagrams
        self.assertEqual(len(datagrams(self.lab.send(hello, later))), 1)

    def test_pre_authentication_drain_of_a_victims_budget(self) -> None:
        """A forger of the victim's address that knows its connection id uses up none of the victim's budget."""
        forged = self.heartbeat()[:-16] + bytes(16)
        for _ in range(10 * int(forgery_limiter.FORGERY_BURST + connection.DATAGRAM_BURST)):
            self.lab.send(forged)
        self.assertEqual(self.lab.send(self.heartbeat()), [])
        self.assertEqual(self.lab.counted["accepted"], 1)
        self.assert_well()

    def test_lying_timestamps(self) -> None:
        """They make the client's own figures wrong, within bounds, and nothing else."""
        for lie in (0, 1, 2**63, 2**64 - 1):
            self.lab.send(
                self.forge(DatagramKind.HEARTBEAT, codec.encode_heartbeat(HeartbeatBody(lie, lie, 2**64 - 1 - lie)))
            )
        conditions = self.peer.conditions
        self.assertLess(conditions.jitter, 60)
        self.assertTrue(conditions.round_trip is None or 0 <= conditions.round_trip <= 60)
        self.assert_well()

    def test_out_of_memory_by_sources(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for number in range(2 * forgery_limiter.MAX_SOURCES):
            sources.charge((f"198.51.{number >> 8}.{number & 255}", 1), NOW)
        self.assertEqual(len(sources), forgery_limiter.MAX_SOURCES)

    def test_many_addresses_of_one_prefix(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for number in range(int(forgery_limiter.FORGERY_BURST) + 2):
            sources.charge((f"2001:db8:1:2::{number:x}", 1), NOW)
        self.assertTrue(sources.exhausted(("2001:db8:1:2:ffff::1", 1), NOW))
        self.assertFalse(sources.exhausted(("2001:db8:1:3::1", 1), NOW))

    def test_forgeries_from_one_ipv4_address_on_a_socket_that_takes_both(self) -> None:
        sources = forgery_limiter.ForgeryLimiter()
        for _ in range(int(forgery_limiter.FORGERY_BURST) + 2):
            sources.charge(("::ffff:198.51.100.1", 1), NOW)
        self.assertTrue(sources.exhausted(("::ffff:198.51.100.1", 2), NOW))
        self.assertFalse(sources.exhausted(("::ffff:203.0.113.7", 1), NOW))

    def test_a_client_that_acknowledges_nothing(self) -> None:
        """It is alive, but its end does not wait for it for ever."""
        self.lab.endpoint.update(self.peer, running(), NOW)
        self.lab.endpoint.close(self.peer, CloseReason.EXPIRED, NOW)
        closes = self._live_on(NOW, closing.MAX_CLOSE_DELAY - 1)
        self.assertEqual(closes, 0)
        self.assertIsNone(self.peer.finished)
        closes = self._live_on(NOW + closing.MAX_CLOSE_DELAY - 1, 60)
        self.assertEqual(closes, closing.MAX_CLOSE_ATTEMPTS)
        self.assertIs(self.peer.finished, CloseReason.EXPIRED)
        self.assertEqual(len(self.lab.endpoint), 0)

    def _live_on(self, now: float, seconds: float) -> int:
        """The client sends heartbeats and acknowledges nothing; how often it is sent a CLOSE meanwhile."""
        until, closes = now + seconds, 0
        while now < until:
            now += 1
            while (deadline := self.lab.endpoint.deadline) is not None and deadline <= now:
                sent = datagrams(self.lab.endpoint.tick(deadline))
                closes += sum(datagram[0] & 31 == DatagramKind.CLOSE for datagram in sent)
            self.lab.send(self.heartbeat(now), now)
        return closes

    def test_rotation_with_reversed_roles(self) -> None:
        """The keys of one direction never open the other, in no generation."""
        ours, theirs = (key(SECRET, b"c" * 16, b"s" * 16) for key in (client_key, server_key))
        sealed = ours.successor().seal(1, b"header", b"content")
        for key in (ours, theirs, theirs.successor()):
            self.assertRaises(BadDatagram, key.open, 1, b"header", sealed)

    def test_terminal_state_survives_a_dead_line(self) -> None:
        """Nothing arrives for almost three heartbeats; then the end does."""
        over = replace(running(), progress=replace(running().progress, status=Status.COMPLETED, percent=100.0))
        self.lab.endpoint.update(self.peer, over, NOW)
        self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW)
        now, events = NOW, []
        while self.client.over is None and now < NOW + 14.9:
            now = self.lab.endpoint.deadline or inf
            for datagram in datagrams(self.lab.endpoint.tick(now)):
                if now > NOW + 9:
                    output = self.client.receive(datagram, now)
                    events += output.events
                    for answer in output.datagrams + self.client.tick(now + 0.02).datagrams:
                        self.lab.send(answer, now + 0.02)
        self.assertTrue(events)
        self.assertEqual(held(self.client).progress.progress, over.progress)
