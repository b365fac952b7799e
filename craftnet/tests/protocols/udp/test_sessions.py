"""Several sessions over one connection."""

from __future__ import annotations

from uuid import UUID

from craftnet.protocols.udp.client.connection import ACK_DELAY, Closed
from craftnet.protocols.udp.client.pending_leaves import CONNECT_ANSWER_TIMEOUT
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged, SessionEnded
from craftnet.protocols.udp.core.negotiation import MAX_INDEXES, MAX_SESSIONS
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.server.dispatcher import (
    ConnectionGone,
)
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, running
from craftnet.tests.support.sessions_case import THIRD, SessionsCase, joined, left, of, over
from craftnet.tests.support.udp_lab import BEARER, Lab, datagrams, table


class DeliveryTests(SessionsCase):
    """States."""

    def test_each_session_is_delivered(self) -> None:
        self.deliver(0, running())
        self.deliver(1, running(OTHER_SESSION, percent=20.0), of(OTHER_SESSION, table()))
        self.deliver(2, running(THIRD, percent=30.0))
        self.assertEqual(
            self.carry([]),
            [
                ProgressChanged(SESSION, 1, running().progress),
                ProgressChanged(OTHER_SESSION, 1, running(percent=20.0).progress),
                MaterialsChanged(of(OTHER_SESSION, table())),
                ProgressChanged(THIRD, 1, running(percent=30.0).progress),
            ],
        )

    def test_what_changes_together_travels_together(self) -> None:
        """In as few datagrams as hold it, however many sessions there are."""
        sessions = {0: SESSION, 1: OTHER_SESSION, 2: THIRD}
        for index in range(3, MAX_SESSIONS):
            sessions[index] = UUID(int=index + 100)
            self.lab.join(self.ticket, sessions[index])
            self.client.watch(index, sessions[index])
        effects = [effect for index in sessions for effect in self.deliver(index, running(sessions[index]))]
        self.assertEqual(effects, [])
        self.assertLessEqual(self.peer.deadline, self.now)
        sent = datagrams(self.lab.endpoint.tick(self.now))
        size = MAX_SESSIONS * 21 + (MAX_SESSIONS - 1) * 2
        self.assertEqual(len(sent), -(-size // (self.packet_size - OVERHEAD)))
        self.assertEqual(sum(map(len, sent)), size + OVERHEAD * len(sent))
        events = [event for datagram in sent for event in self.client.receive(datagram, self.now).events]
        self.assertEqual(
            [event.session_id for event in events if isinstance(event, ProgressChanged)], [*sessions.values()]
        )

    def test_a_single_session_pays_nothing(self) -> None:
        lab = Lab()
        _, peer = lab.connect(lab.ticket())
        (datagram,) = datagrams(lab.update(peer, running(), NOW))
        self.assertEqual(len(datagram), OVERHEAD + 21)

    def test_tables_are_acknowledged_by_session(self) -> None:
        """Then changes of each are short."""
        for index, session_id in enumerate((SESSION, OTHER_SESSION, THIRD)):
            self.deliver(index, of(session_id, table(index + 5)))
        self.carry([], ACK_DELAY)
        for index, session_id in enumerate((SESSION, OTHER_SESSION, THIRD)):
            self.deliver(index, of(session_id, table(index + 6, iron=11)))
        (sent,) = datagrams(self.lab.endpoint.tick(self.now))
        self.assertLess(len(sent), OVERHEAD + 3 * (2 + 14))
        events = self.client.receive(sent, self.now).events
        self.assertEqual(len(events), 3)
        self.assertEqual(events[2], MaterialsChanged(of(THIRD, table(8, iron=11))))

    def test_the_server_is_faster_than_the_answer_over_http(self) -> None:
        _, effects = self.lab.join(self.ticket, UUID(int=4))
        self.deliver(3, running(UUID(int=4), percent=40.0))
        self.assertEqual(self.carry(effects), [])
        self.assertEqual(
            self.client.watch(3, UUID(int=4)).events,
            [ProgressChanged(UUID(int=4), 1, running(percent=40.0).progress)],
        )

    def test_everything_on_request(self) -> None:
        self.deliver(0, running())
        self.deliver(2, running(THIRD))
        self.carry([], 1.0)
        (request,) = self.client.resync(self.now).datagrams
        (answer,) = datagrams(self.lab.send(request, self.now))
        self.assertEqual(len(answer), OVERHEAD + 2 * 21 + 2)

    def test_a_slow_path_starves_no_session(self) -> None:
        """All of them change all the time, and only some fit through."""
        sessions = {0: SESSION, 1: OTHER_SESSION, 2: THIRD}
        for index in range(3, MAX_SESSIONS):
            sessions[index] = UUID(int=index + 100)
            self.lab.join(self.ticket, sessions[index])
            self.client.watch(index, sessions[index])
        self.peer.send_queue.pace.rate = 4000.0
        heard = dict.fromkeys(sessions.values(), 0)
        for step in range(100):
            for index, session_id in sessions.items():
                self.deliver(index, running(session_id, percent=step / 2))
            for event in self.carry([], 0.05):
                if isinstance(event, ProgressChanged):
                    heard[event.session_id] += 1
        self.assertGreater(min(heard.values()), max(heard.values()) / 2)


class EndTests(SessionsCase):
    """One session ends, the others continue."""

    def test_an_end_is_delivered_last_and_then_forgotten(self) -> None:
        self.deliver(1, over(OTHER_SESSION))
        self.assertEqual(left(self.lab.endpoint.end(self.peer, 1, CloseReason.ENDED, self.now)), [1])
        events = self.carry([], 1.0)
        self.assertEqual(
            events,
            [
                ProgressChanged(OTHER_SESSION, 9, over(OTHER_SESSION).progress),
                SessionEnded(OTHER_SESSION, CloseReason.ENDED),
            ],
        )
        self.assertEqual([permit.index for permit in self.ticket.permits], [0, 2])
        self.assertEqual(self.client.sessions, {0: SESSION, 2: THIRD})
        self.assertEqual(self.lab.tickets.for_session(OTHER_SESSION, PLAYER), [])
        self.assertEqual(self.deliver(1, running(OTHER_SESSION)), [])
        self.deliver(2, running(THIRD))
        self.assertEqual(len(self.carry([])), 1)

    def test_the_end_of_the_last_one_is_the_end_of_the_connection(self) -> None:
        for index in (0, 1):
            self.lab.endpoint.end(self.peer, index, CloseReason.ENDED, self.now)
        self.carry([], 1.0)
        self.deliver(2, over(THIRD))
        self.lab.endpoint.end(self.peer, 2, CloseReason.NOT_FOUND, self.now)
        events = self.carry([], 1.0)
        self.assertEqual(events[-1], Closed(CloseReason.NOT_FOUND))
        self.assertEqual(left(self.effects), [2])
        self.assertIsNone(self.lab.tickets.find(self.ticket.connection_id, self.now))

    def test_all_of_them_at_once(self) -> None:
        for index in range(3):
            self.lab.endpoint.end(self.peer, index, CloseReason.ENDED, self.now)
        self.assertEqual(
            self.carry([], 1.0),
            [
                SessionEnded(SESSION, CloseReason.ENDED),
                SessionEnded(OTHER_SESSION, CloseReason.ENDED),
                Closed(CloseReason.ENDED),
            ],
        )

    def test_an_index_is_never_used_twice(self) -> None:
        self.lab.endpoint.end(self.peer, 1, CloseReason.ENDED, self.now)
        self.carry([], 1.0)
        permit, _ = self.lab.join(self.ticket, OTHER_SESSION, now=self.now)
        self.assertEqual(permit.index, 3)
        self.ticket.unused = MAX_INDEXES
        refused = self.lab.endpoint.join(self.ticket, UUID(int=99), NOW + 3600, BEARER, self.now)
        self.assertIsNone(refused)

    def test_each_bearer_token_runs_out_for_itself(self) -> None:
        permit, _ = self.lab.join(self.ticket, UUID(int=4), expires=NOW + 3)
        self.client.watch(permit.index, UUID(int=4))
        self.assertEqual(self.carry([], 4.0), [SessionEnded(UUID(int=4), CloseReason.EXPIRED)])
        self.assertIsNone(self.peer.finished)

    def test_a_fresh_bearer_token_makes_it_last(self) -> None:
        permit, _ = self.lab.join(self.ticket, UUID(int=4), expires=NOW + 3)
        self.client.watch(permit.index, UUID(int=4))
        again, effects = self.lab.join(self.ticket, UUID(int=4), expires=NOW + 100)
        self.assertEqual((again.index, joined(effects)), (permit.index, []))
        self.assertEqual(self.carry([], 4.0), [])

    def test_when_the_last_bearer_token_runs_out_the_connection_does(self) -> None:
        events = self.carry([], 3700.0)
        self.assertEqual(events[-1], Closed(CloseReason.EXPIRED))


class LeaveTests(SessionsCase):
    """The client leaves one session."""

    def _leave(self, *indexes: int) -> bytes:
        channel = self.client.channel
        assert channel is not None
        return channel.seal(DatagramKind.LEAVE, codec.encode_leave(indexes))

    def test_leaving(self) -> None:
        self.deliver(1, running(OTHER_SESSION))  # need not be sent any more.
        (request,) = self.client.leave(1, self.now).datagrams
        self.assertEqual(self.client.sessions, {0: SESSION, 2: THIRD})
        effects = self.lab.send(request, self.now)
        self.assertEqual(left(effects), [1])
        self.assertEqual(self.carry(effects, 1.0), [SessionEnded(OTHER_SESSION, CloseReason.LEFT)])
        self.assertEqual([permit.index for permit in self.ticket.permits], [0, 2])
        self.assertGreater(self.client.deadline, self.now + 1)

    def test_it_is_repeated_until_the_server_has_said_so(self) -> None:
        """Whatever gets lost, and however often it arrives."""
        self.client.leave(1, self.now)
        requests = []
        while self.client.deadline < NOW + 3:
            self.now = self.client.deadline
            requests += self.client.tick(self.now).datagrams
        self.assertGreater(len(requests), 2)
        answers = [self.lab.send(request, self.now) for request in requests]
        self.assertEqual([left(answer) for answer in answers], [[1], *[[]] * (len(requests) - 1)])
        self.assertEqual(self.carry(answers[0], 1.0), [SessionEnded(OTHER_SESSION, CloseReason.LEFT)])
        self.assertEqual(left(self.lab.send(self._leave(1), self.now)), [])
        self.assertIsNone(self.peer.finished)

    def test_an_unclaimed_session_is_left(self) -> None:
        """The HTTP answer with its name is lost."""
        _, effects = self.lab.join(self.ticket, UUID(int=4))
        self.deliver(3, running(UUID(int=4)))
        self.deliver(0, running())
        self.assertEqual(len(self.carry(effects, CONNECT_ANSWER_TIMEOUT - 1)), 1)
        self.assertEqual(len(self.peer.sessions.sent_states), 4)
        self.assertEqual(self.carry([], 2.0), [])
        self.assertEqual([session.index for session in self.peer.sessions.sent_states], [0, 1, 2])
        self.assertEqual(self.client.watch(3, UUID(int=4)).events[-1], SessionEnded(UUID(int=4), CloseReason.LEFT))

    def test_one_that_ends_unclaimed_is_not(self) -> None:
        _, effects = self.lab.join(self.ticket, UUID(int=4))
        self.deliver(3, running(UUID(int=4)))
        self.carry(effects, 1.0)
        self.lab.endpoint.end(self.peer, 3, CloseReason.ENDED, self.now)
        self.carry([], CONNECT_ANSWER_TIMEOUT + 1)
        self.assertFalse(self.client.pending_leaves.pending)
        self.assertEqual(self.client.watch(3, UUID(int=4)).events[-1], SessionEnded(UUID(int=4), CloseReason.ENDED))

    def test_one_that_is_claimed_in_time_is_not(self) -> None:
        _, effects = self.lab.join(self.ticket, UUID(int=4))
        self.deliver(3, running(UUID(int=4)))
        self.carry(effects, CONNECT_ANSWER_TIMEOUT - 1)
        self.client.watch(3, UUID(int=4))
        self.carry([], CONNECT_ANSWER_TIMEOUT)
        self.assertEqual(len(self.peer.sessions.sent_states), 4)

    def test_leaving_all_of_them(self) -> None:
        for index in (0, 1, 2):
            output = self.client.leave(index, self.now)
        self.assertEqual(output.events, [Closed(CloseReason.LEFT)])
        effects = self.lab.send(output.datagrams[0], self.now)
        self.assertTrue(any(isinstance(effect, ConnectionGone) for effect in effects))
        self.assertEqual(left(effects), [0, 1, 2])

    def test_a_client_that_leaves_the_last_one_by_itself(self) -> None:
        """The server answers with the end of the connection."""
        effects = self.lab.send(self._leave(0, 1, 2), self.now)
        self.assertEqual(self.carry(effects, 1.0), [Closed(CloseReason.LEFT)])
        self.assertIsNone(self.lab.tickets.find(self.ticket.connection_id, self.now))
