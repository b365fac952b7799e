from __future__ import annotations

from math import inf

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.protocols.udp.client.connection import Closed, Connected
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.protocols.udp.core.cookie import COOKIE_LIFETIME
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.server.closing import MAX_CLOSE_ATTEMPTS
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.protocols.udp.server.dispatcher import ConnectionGone, ConnectionOpened, Effect
from craftnet.protocols.udp.server.tickets import TICKET_IDLE_TIMEOUT
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.samples import NOW, SESSION, running
from craftnet.tests.support.udp_lab import CLIENT, HEARTBEAT, OTHER_ADDRESS, Lab, datagrams, table


def opened(effects: list[Effect]) -> list[ServerConnection]:
    """The peers that were made."""
    return [effect.peer for effect in effects if isinstance(effect, ConnectionOpened)]


def gone(effects: list[Effect]) -> list[ServerConnection]:
    """The closed connections."""
    return [effect.peer for effect in effects if isinstance(effect, ConnectionGone)]


class HandshakeTests(SynchronousTestCase):
    """From a ticket to a peer."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket()
        self.client = self.lab.client_connection(self.ticket)

    def _challenge(self, now: float = NOW) -> bytes:
        (hello,) = self.client.start(now).datagrams
        (challenge,) = datagrams(self.lab.send(hello, now))
        return challenge

    def _response(self, now: float = NOW) -> bytes:
        (response,) = self.client.receive(self._challenge(now), now).datagrams
        return response

    def test_it_opens_a_peer_for_the_ticket_session(self) -> None:
        effects = self.lab.send(self._response())
        (peer,) = opened(effects)
        self.assertEqual((peer.sessions.sent_states[0].session_id, peer.address), (SESSION, CLIENT))
        (datagram,) = datagrams(effects)
        self.assertIsInstance(self.client.receive(datagram, NOW).events[0], Connected)

    def test_before_the_cookie_is_back_less_is_sent_than_received_and_nothing_kept(self) -> None:
        (hello,) = self.client.start(NOW).datagrams
        for _ in range(20):
            (challenge,) = datagrams(self.lab.send(hello))
            self.assertLess(len(challenge), len(hello))
        self.assertEqual((len(self.lab.endpoint), self.lab.endpoint.deadline), (0, None))

    def test_the_first_answer_to_a_response_is_shorter_too(self) -> None:
        response = self._response()
        self.assertLess(sum(map(len, datagrams(self.lab.send(response)))), len(response))

    def _first_retransmission(self, lost: int) -> float:
        """Seconds until a STATE that is lost is sent again, on a line of 20 ms, after that many lost RESPONSEs."""
        self._response()
        now = NOW
        for _ in range(lost):
            now = self.client.deadline
            (response,) = self.client.tick(now).datagrams
        effects = self.lab.send(response, now + 0.01)
        (peer,) = opened(effects)
        self.lab.update(peer, running(), now + 0.01)  # lost.
        (datagram,) = datagrams(effects)
        (answer,) = self.client.receive(datagram, now + 0.02).datagrams
        self.lab.send(answer, now + 0.03)
        assert self.lab.endpoint.deadline is not None
        return self.lab.endpoint.deadline - now

    def test_a_repeated_response_measures_nothing(self) -> None:
        """Karn's rule: what came half a second after its cookie may have been sent twice."""
        for lost in (1, 2):
            self.setUp()
            self.assertLess(self._first_retransmission(lost), 0.2, lost)

    def test_a_response_that_was_sent_once_measures_the_line(self) -> None:
        (peer,) = opened(self.lab.send(self._response(), NOW + 0.3))
        self.assertAlmostEqual(peer.conditions.round_trip or 0.0, 0.3, places=5)

    def test_a_short_hello_is_not_answered(self) -> None:
        (hello,) = self.client.start(NOW).datagrams
        for size in (0, 1, OVERHEAD, 100, 511):
            self.assertEqual(self.lab.send(hello[:size]), [])
            self.assertEqual(self.lab.send(hello[: max(0, size - 16)] + hello[-16:]), [])
        self.assertEqual(self.lab.counted["accepted"], 0)

    def test_a_hello_without_the_ticket_is_not_answered(self) -> None:
        stranger = self.lab.client_connection(Lab(seed=2).ticket())
        (hello,) = stranger.start(NOW).datagrams
        self.assertEqual(self.lab.send(hello), [])
        (ours,) = self.client.start(NOW).datagrams
        self.assertEqual(self.lab.send(ours[:5] + hello[5:]), [])
        self.assertEqual(self.lab.counted["forged"], 1)

    def test_any_flipped_bit_of_a_response_is_fatal_to_it(self) -> None:
        response = self._response()
        for index in range(0, len(response) * 8, 43):
            forged = bytearray(response)
            forged[index // 8] ^= 1 << index % 8
            self.assertEqual(self.lab.send(bytes(forged)), [])
        self.assertEqual(len(opened(self.lab.send(response))), 1)

    def test_the_cookie_of_another_address_does_not_hold(self) -> None:
        self.assertEqual(self.lab.send(self._response(), address=OTHER_ADDRESS), [])
        self.assertEqual(self.lab.counted["cookie_wrong"], 1)

    def test_an_old_cookie_does_not_hold(self) -> None:
        self.assertEqual(self.lab.send(self._response(), NOW + COOKIE_LIFETIME + 1), [])
        self.assertEqual(self.lab.counted["cookie_expired"], 1)

    def test_a_lapsed_ticket_opens_nothing(self) -> None:
        response = self._response(NOW + TICKET_IDLE_TIMEOUT - 1)
        self.assertEqual(self.lab.send(response, NOW + TICKET_IDLE_TIMEOUT), [])

    def test_a_challenge_for_another_client_is_ignored(self) -> None:
        challenge = self._challenge()
        other = self.lab.client_connection(self.ticket)
        other.start(NOW)
        self.assertEqual(other.receive(challenge, NOW).datagrams, [])
        self.assertEqual(len(self.client.receive(challenge, NOW).datagrams), 1)


class ReplayedHandshakeTests(SynchronousTestCase):
    """A recorded handshake does no harm."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket()
        self.client = self.lab.client_connection(self.ticket)
        (self.hello,) = self.client.start(NOW).datagrams
        (challenge,) = datagrams(self.lab.send(self.hello))
        (self.response,) = self.client.receive(challenge, NOW).datagrams
        effects = self.lab.send(self.response)
        (self.peer,) = opened(effects)
        for datagram in datagrams(effects):
            self.client.receive(datagram, NOW)

    def _alive(self, now: float) -> bool:
        """Whether the server's datagrams still reach the client."""
        sent = datagrams(self.lab.update(self.peer, running(percent=now - NOW), now))
        return any(self.client.receive(datagram, now).events for datagram in sent)

    def test_on_a_living_peer(self) -> None:
        for datagram in (self.hello, self.response):
            self.assertEqual(opened(self.lab.send(datagram, NOW + 1)), [])
        self.assertEqual(self.lab.counted["repeated"], 1)
        self.assertIsNone(self.peer.finished)
        self.assertTrue(self._alive(NOW + 1))

    def test_on_a_later_connection_of_the_same_ticket(self) -> None:
        """A client that restarted has new keys; the old handshake cannot bring the old ones back."""
        client, peer = self.lab.connect(self.ticket, NOW + 1)
        self.assertEqual(self.peer.finished, CloseReason.REPLACED)
        self.assertEqual(self.lab.send(self.response, NOW + 2), [])
        self.assertIsNone(peer.finished)
        (datagram,) = datagrams(self.lab.update(peer, running(), NOW + 2))
        self.assertEqual(self.client.receive(datagram, NOW + 2).events, [])
        self.assertEqual(len(client.receive(datagram, NOW + 2).events), 1)

    def test_after_the_peer_is_gone(self) -> None:
        """Its keys would start again from sequence 1."""
        for datagram in self.client.close().datagrams:
            self.lab.send(datagram, NOW + 1)
        self.assertEqual(self.lab.send(self.response, NOW + 2), [])
        self.assertEqual(len(self.lab.endpoint), 0)


class PeerTests(SynchronousTestCase):
    """The datagrams of a connection, and its end."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket(expires=NOW + 100)
        self.client, self.peer = self.lab.connect(self.ticket)

    def _heard(self, effects: list[Effect], now: float) -> list[object]:
        """The client's view of what was sent."""
        return [event for datagram in datagrams(effects) for event in self.client.receive(datagram, now).events]

    def _play(self, until: float, *, drop_all: bool = False) -> list[Effect]:
        """Server and client on a perfect line; a deaf client takes part in nothing."""
        effects: list[Effect] = []
        while (due := self.lab.endpoint.deadline) is not None:
            now = min(due, inf if drop_all else self.client.deadline)
            if now > until:
                break
            if now == due:
                ticked = self.lab.endpoint.tick(now)
                effects += ticked
                outputs = [] if drop_all else [self.client.receive(datagram, now) for datagram in datagrams(ticked)]
            else:
                outputs = [self.client.tick(now)]
            for output in outputs:
                for datagram in output.datagrams:
                    answer = self.lab.send(datagram, now)
                    effects += answer
                    for reply in datagrams(answer):
                        self.client.receive(reply, now)
        return effects

    def test_states_arrive_whole(self) -> None:
        state, materials = running(percent=12.5), table()
        events = self._heard(self.lab.update(self.peer, state, NOW), NOW)
        events += self._heard(self.lab.update(self.peer, materials, NOW), NOW)
        self.assertEqual(events, [ProgressChanged(SESSION, 1, state.progress), MaterialsChanged(materials)])

    def test_no_datagram_is_longer_than_was_negotiated(self) -> None:
        client, peer = self.lab.connect(self.lab.ticket(packet_size=64))
        done = replace(running(), progress=replace(running().progress, status=Status.FAILED, failure_reason="x" * 200))
        sent = datagrams(self.lab.update(peer, done, NOW) + self.lab.update(peer, table(), NOW))
        self.assertLessEqual(max(map(len, sent)), 64)
        events = [event for datagram in sent for event in client.receive(datagram, NOW).events]
        self.assertIn(MaterialsChanged(table()), events)
        self.assertIn(ProgressChanged(SESSION, 1, done.progress), events)

    def test_a_lost_state_is_repeated_until_acknowledged(self) -> None:
        self.lab.update(self.peer, running(), NOW)
        effects = self._play(NOW + 2)
        self.assertEqual(len(self._heard(effects, NOW + 2)), 0)  # it was heard in the run already, once.
        quiet = [len(datagram) for datagram in datagrams(self._play(NOW + 4.9))]
        self.assertEqual(quiet, [])

    def test_an_unacknowledged_state_is_repeated_a_bounded_number_of_times(self) -> None:
        over = replace(running(), progress=replace(running().progress, status=Status.COMPLETED, percent=100.0))
        self.lab.update(self.peer, over, NOW)
        effects = self._play(NOW + 1000, drop_all=True)
        self.assertEqual(gone(effects), [self.peer])
        self.assertEqual(self.peer.finished, CloseReason.SILENT)
        self.assertLess(len(datagrams(effects)), 20)

    def test_silence_of_three_heartbeats_ends_it(self) -> None:
        effects = self._play(NOW + 3 * HEARTBEAT - 0.1, drop_all=True)
        self.assertEqual(gone(effects), [])
        self.assertEqual(len(datagrams(effects)), 10)  # after 5 s, then every second: the next may get through.
        self.assertEqual(gone(self._play(NOW + 3 * HEARTBEAT, drop_all=True)), [self.peer])
        self.assertEqual(len(self.lab.endpoint), 0)
        self.assertIsNone(self.lab.endpoint.deadline)

    def test_heartbeats_keep_it_alive_and_measure_the_line(self) -> None:
        self._play(NOW + 90)
        self.assertIsNone(self.peer.finished)
        self.assertIsNone(self.client.over)
        self.assertIsNotNone(self.peer.pulse.round_trip.smoothed)

    def test_the_end_of_the_authorisation_ends_it(self) -> None:
        effects = self._play(NOW + 101)
        self.assertEqual(gone(effects), [self.peer])
        self.assertEqual(self.client.over, CloseReason.EXPIRED)
        self.assertIsNone(self.lab.tickets.find(self.ticket.connection_id, NOW + 100))

    def test_full_state_on_request_but_not_in_a_loop(self) -> None:
        self.lab.update(self.peer, running(), NOW)
        self.lab.update(self.peer, table(), NOW)
        self._play(NOW + 1.5)
        now = NOW + 1.5
        full = datagrams(self.lab.send(self.client.resync(now).datagrams[0], now))
        self.assertEqual(len(full), 1)
        for datagram in full:
            self.client.receive(datagram, now)
        (acknowledgement,) = self.client.tick(self.client.deadline).datagrams
        self.lab.send(acknowledgement, now)
        self.assertEqual(self.client.resync(now + 0.5).datagrams, [])
        # a client that does not keep to that is not served sooner either, but is served.
        assert self.client.channel is not None
        again = self.client.channel.seal(DatagramKind.RESYNC)
        self.assertEqual(datagrams(self.lab.send(again, now + 0.5)), [])
        self.assertEqual(self.peer.deadline, now + 1.0)
        self.assertEqual(len(datagrams(self.lab.endpoint.tick(now + 1.0))), 1)

    def test_closing_sends_the_pending_records_first(self) -> None:
        over = replace(running(), progress=replace(running().progress, status=Status.COMPLETED, percent=100.0))
        lost = self.lab.update(self.peer, over, NOW)
        self.assertEqual(len(lost), 1)
        self.assertEqual(self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW), [])
        effects = self._play(NOW + 4)
        self.assertEqual(gone(effects), [self.peer])
        self.assertEqual(self.client.over, CloseReason.ENDED)
        self.assertEqual(self.lab.tickets.find(self.ticket.connection_id, NOW + 4), None)

    def test_a_closing_connection_is_sent_nothing_new(self) -> None:
        """Whether by the hub or because the client asks."""
        self.lab.update(self.peer, running(), NOW)
        self._play(NOW + 1)
        now = NOW + 1
        (close,) = datagrams(self.lab.endpoint.close(self.peer, CloseReason.ENDED, now))
        self.assertEqual(self.lab.update(self.peer, running(percent=1.0), now), [])
        self.assertEqual(self.lab.send(self.client.resync(now).datagrams[0], now), [])
        self.assertGreater(self.peer.deadline, now)
        self.assertEqual(self.client.receive(close, now).events, [Closed(CloseReason.ENDED)])

    def test_close_is_repeated_a_bounded_number_of_times_with_growing_pauses(self) -> None:
        self.peer.pulse.round_trip.forget()
        self.peer.pulse.round_trip.measured(0.1)
        timeout = self.peer.pulse.round_trip.timeout
        self.assertEqual(len(datagrams(self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW))), 1)
        now, pauses = NOW, []
        while self.peer.finished is None:
            due = self.peer.deadline
            effects = self.lab.endpoint.tick(due)
            pauses.append(due - now)
            now = due
            self.assertEqual(len(datagrams(effects)), int(self.peer.finished is None))
        self.assertEqual(len(pauses), MAX_CLOSE_ATTEMPTS)
        for number, pause in enumerate(pauses):
            self.assertAlmostEqual(pause, timeout * 2**number, places=5)
        self.assertEqual(gone(effects), [self.peer])

    def test_a_client_that_leaves_may_come_back(self) -> None:
        (closing,) = self.client.close().datagrams
        self.assertEqual(gone(self.lab.send(closing)), [self.peer])
        self.assertEqual(self.peer.finished, CloseReason.LEFT)
        self.lab.connect(self.ticket, NOW + 1)

    def test_shutdown_sends_close_to_every_client(self) -> None:
        other, _ = self.lab.connect(self.lab.ticket())
        effects = self.lab.endpoint.shut_down(NOW)
        self.assertEqual(len(gone(effects)), 2)
        events = [
            event
            for client in (self.client, other)
            for d in datagrams(effects)
            for event in client.receive(d, NOW).events
        ]
        self.assertEqual(events, [Closed(CloseReason.GOING_AWAY)] * 2)
        self.assertEqual(len(self.lab.endpoint), 0)

    def test_a_finished_connection_is_sent_nothing(self) -> None:
        self.lab.endpoint.shut_down(NOW)
        self.assertEqual(self.lab.update(self.peer, running(), NOW), [])
        self.assertEqual(self.lab.endpoint.close(self.peer, CloseReason.ENDED, NOW), [])
