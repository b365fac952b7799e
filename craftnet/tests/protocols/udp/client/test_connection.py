from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.client.connection import ACK_DELAY, ACK_EVERY, ClientConnection, Closed, Connected
from craftnet.protocols.udp.client.handshake import HANDSHAKE_TIMEOUT
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind, FreshSecret, Selector, StateRecord
from craftnet.tests.support.samples import NOW, SESSION, running
from craftnet.tests.support.udp_lab import HEARTBEAT, Lab, datagrams


class ConnectingTests(SynchronousTestCase):
    """The client's half of the handshake."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client = self.lab.client_connection(self.lab.ticket())

    def test_no_server_answers(self) -> None:
        """HELLO is repeated with growing pauses, then the attempt ends."""
        sent, events = list(self.client.start(NOW).datagrams), []
        times = []
        while (now := self.client.deadline) <= NOW + 100:
            output = self.client.tick(now)
            times += [now - NOW] * len(output.datagrams)
            sent += output.datagrams
            events += output.events
        self.assertEqual(times, [0.5, 1.5, 3.5, 7.5, 11.5])
        self.assertEqual(set(sent), {sent[0]})
        self.assertEqual(events, [Closed(CloseReason.UNREACHABLE)])

    def test_an_unanswered_response_starts_over_with_a_new_nonce(self) -> None:
        (hello,) = self.client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(hello))
        sent = list(self.client.receive(challenge, NOW).datagrams)
        while self.client.deadline < NOW + HANDSHAKE_TIMEOUT:
            sent += self.client.tick(self.client.deadline).datagrams
        self.assertEqual([datagram[0] for datagram in sent[:4]], [0x43, 0x43, 0x43, 0x41])
        self.assertNotEqual(sent[3], hello)

    def _several(self) -> ClientConnection:
        """A client whose server may be at three addresses."""
        ticket = self.lab.ticket()
        token = SessionToken.parse(ticket.token.text)
        random = self.lab.random.randbytes
        return ClientConnection(token, {0: SESSION}, heartbeat=HEARTBEAT, servers=3, random=random)

    def _hellos(self, client: ClientConnection, until: float) -> list[tuple[float, int, bytes]]:
        """When each HELLO goes out, to which address, with which nonce."""
        hellos = [(0.0, client.server, hello[5:21]) for hello in client.start(NOW).datagrams]
        while (now := client.deadline) <= NOW + until:
            for hello in client.tick(now).datagrams:
                hellos.append((now - NOW, client.server, hello[5:21]))
        return hellos

    def test_addresses_that_stay_silent(self) -> None:
        """The next is tried after half a second, and all of them again after longer pauses."""
        hellos = self._hellos(self._several(), 100)
        self.assertEqual([when for when, _, _ in hellos], [0, 0.5, 1, 1.5, 2.5, 3.5, 4.5, 6.5, 8.5, 10.5, 14.5])
        self.assertEqual([server for _, server, _ in hellos], [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1])
        nonces = [nonce for _, _, nonce in hellos]
        self.assertEqual((len(set(nonces)), nonces[3:6]), (3, nonces[:3]))

    def test_the_address_that_answers_is_kept(self) -> None:
        """Whichever HELLO was the last; that one was answered says how long a round trip to it takes."""
        client = self._several()
        client.start(NOW)
        (second,) = client.tick(NOW + 0.5).datagrams
        client.tick(NOW + 1)
        (challenge,) = datagrams(self.lab.send(second, NOW + 0.6))
        (response,) = client.receive(challenge, NOW + 1.2).datagrams
        self.assertEqual((client.server, response[0] & 31), (1, DatagramKind.RESPONSE))
        self.assertAlmostEqual(client.pulse.round_trip.smoothed or 0.0, 0.7)
        (accept,) = datagrams(self.lab.send(response, NOW + 1.3))
        self.assertEqual(client.receive(accept, NOW + 1.4).events, [Connected()])
        self.assertEqual(client.server, 1)

    def test_an_address_that_answers_no_response_is_tried_last(self) -> None:
        """As where CHALLENGEs come through, and nothing that is longer."""
        client = self._several()
        (hello,) = client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(hello))
        client.receive(challenge, NOW)
        while client.tick(client.deadline).datagrams[0][0] & 31 == DatagramKind.RESPONSE:
            self.assertEqual(client.server, 0)
        self.assertEqual(client.server, 1)

    def test_a_second_challenge_changes_nothing(self) -> None:
        """The answer to a repeated HELLO must not throw away the handshake that is under way."""
        (hello,) = self.client.start(NOW).datagrams
        challenges = [datagrams(self.lab.send(hello, NOW + number))[0] for number in range(2)]
        (response,) = self.client.receive(challenges[0], NOW + 1).datagrams
        self.assertEqual(self.client.receive(challenges[1], NOW + 1).datagrams, [])
        (accept,) = datagrams(self.lab.send(response, NOW + 1))
        self.assertEqual(self.client.receive(accept, NOW + 1).events, [Connected()])

    def test_the_handshake_sets_the_clock(self) -> None:
        """The server's clock is 1000 s ahead; a round trip takes 0.2 s."""
        client = self.lab.client_connection(self.lab.ticket(now=NOW + 1000))
        (hello,) = client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(hello, NOW + 1000.1))
        client.receive(challenge, NOW + 0.2)
        self.assertAlmostEqual(client.server_time(NOW), NOW + 1000, places=3)

    def test_the_answer_to_a_repeated_hello_measures_nothing(self) -> None:
        """It is unknown which of them it answers."""
        (hello,) = self.client.start(NOW).datagrams
        self.client.tick(NOW + 0.5)
        (challenge,) = datagrams(self.lab.send(hello, NOW + 0.5))
        self.client.receive(challenge, NOW + 0.6)
        self.assertIsNone(self.client.pulse.round_trip.smoothed)

    def test_leaving_before_anything_happened(self) -> None:
        self.client.start(NOW)
        self.assertEqual(self.client.close().events, [Closed(CloseReason.LEFT)])
        self.assertEqual(self.client.close().events, [])


class ConnectedTests(SynchronousTestCase):
    """After it."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client, self.peer = self.lab.connect(self.lab.ticket())

    def test_the_secret_of_the_newest_datagram_is_the_token(self) -> None:
        """Behind a selector, too: it is the connection's."""
        cases: tuple[list[StateRecord], ...] = ([FreshSecret(b"o" * 32)], [Selector(3), FreshSecret(b"n" * 32)])
        sealed = [
            self.peer.channel.seal(DatagramKind.STATE, b"".join(map(codec.encode_state_record, records)))
            for records in cases
        ]
        for datagram in sealed[::-1]:
            self.client.receive(datagram, NOW)
        self.assertEqual(self.client.token.secret, b"n" * 32)

    def test_states_are_acknowledged_soon(self) -> None:
        (datagram,) = datagrams(self.lab.update(self.peer, running(), NOW))
        self.client.receive(datagram, NOW)
        self.assertEqual(self.client.deadline, NOW + ACK_DELAY)
        (acknowledgement,) = self.client.tick(NOW + ACK_DELAY).datagrams
        self.lab.send(acknowledgement, NOW + ACK_DELAY)
        self.assertEqual(self.peer.deadline, NOW + HEARTBEAT)

    def test_many_states_are_acknowledged_at_once(self) -> None:
        answers = 0
        for number in range(ACK_EVERY):
            (datagram,) = datagrams(self.lab.update(self.peer, running(percent=number), NOW))
            answers += len(self.client.receive(datagram, NOW).datagrams)
        self.assertEqual(answers, 1)

    def test_the_same_state_again_is_no_event(self) -> None:
        (datagram,) = datagrams(self.lab.update(self.peer, running(), NOW))
        self.assertEqual(len(self.client.receive(datagram, NOW).events), 1)
        (request,) = self.client.resync(NOW).datagrams
        (datagram,) = datagrams(self.lab.send(request))
        self.assertEqual(self.client.receive(datagram, NOW).events, [])

    def test_silence_of_three_heartbeats_ends_it(self) -> None:
        events = []
        while (now := self.client.deadline) <= NOW + 100:
            events += [(now, event) for event in self.client.tick(now).events]
        self.assertEqual(events, [(NOW + 3 * HEARTBEAT, Closed(CloseReason.SILENT))])

    def _heartbeats(self, until: float) -> list[float]:
        """Seconds after the change of address at which heartbeats go out, while the server is heard."""
        times = []
        while (now := self.client.deadline) <= NOW + until:
            self.client.pulse.last_heard = now
            times += [now - NOW for _ in self.client.tick(now).datagrams]
        return times

    def test_after_a_move_its_address_is_shown_every_second_for_a_minute(self) -> None:
        """The next change may be one that a NAT hides from it."""
        self.assertEqual(len(self.client.moved(NOW).datagrams), 1)
        every_second = [float(second) for second in range(1, 61)]
        self.assertEqual(self._heartbeats(75.0), [*every_second, 65.0, 70.0, 75.0])

    def test_so_it_is_when_the_server_has_seen_another_address(self) -> None:
        challenge = self.peer.channel.seal(DatagramKind.PATH_CHALLENGE, bytes(8))
        self.assertEqual(len(self.client.receive(challenge, NOW).datagrams), 1)
        every_second = [float(second) for second in range(1, 61)]
        self.assertEqual(self._heartbeats(70.0), [*every_second, 65.0, 70.0])

    def test_otherwise_every_interval(self) -> None:
        self.assertEqual(self._heartbeats(15.0), [5.0, 10.0, 15.0])

    def test_an_unusual_silence(self) -> None:
        """Our address may have changed: it is shown to the server, and every second until something arrives."""
        for second in range(6):
            (datagram,) = datagrams(self.lab.endpoint.update(self.peer, running(percent=second), NOW + second))
            self.client.receive(datagram, NOW + second)
            self.client.tick(NOW + second + ACK_DELAY)
        self._heartbeats(5.5)
        sent = []
        while (now := self.client.deadline) < NOW + 9:
            sent += [now - NOW for _ in self.client.tick(now).datagrams]
        self.assertEqual(len(sent), 3)
        self.assertLess(sent[0], 6.8)
        self.assertEqual(sent[1:], [sent[0] + 1, sent[0] + 2])
        (datagram,) = datagrams(self.lab.endpoint.update(self.peer, running(percent=50), NOW + 9))
        self.client.receive(datagram, NOW + 9)
        self.client.tick(NOW + 9 + ACK_DELAY)
        self.assertGreater(self.client.deadline, NOW + 10)

    def test_forged_datagrams_do_not_count_as_a_sign_of_life(self) -> None:
        self.client.receive(b"\x46" + self.peer.connection_id.to_bytes(4, "big") + bytes(60), NOW + 14)
        self.client.tick(NOW + 14)
        self.assertEqual(self.client.tick(NOW + 15).events, [Closed(CloseReason.SILENT)])

    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(st.binary(max_size=200), st.integers(0x40, 0x48))
    def test_junk_has_no_effect(self, octets: bytes, first: int) -> None:
        start = bytes([first]) + self.peer.connection_id.to_bytes(4, "big")
        for datagram in (octets, start + octets):
            output = self.client.receive(datagram, NOW)
            self.assertEqual((output.datagrams, output.events), ([], []))

    def test_when_it_is_over_nothing_happens_any_more(self) -> None:
        self.client.close()
        (datagram,) = datagrams(self.lab.update(self.peer, running(), NOW))
        for output in (self.client.receive(datagram, NOW), self.client.tick(NOW + 100), self.client.resync(NOW)):
            self.assertEqual((output.datagrams, output.events), ([], []))
