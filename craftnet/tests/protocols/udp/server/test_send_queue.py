from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.client.connection import ACK_DELAY
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.delay_pacing import DelayPacer
from craftnet.protocols.udp.core.heartbeat import MAX_ACK_DELAY, MAX_TIMEOUT, RoundTrip
from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.udp.core.pacing import BURST_SECONDS, MAX_RATE, Pacer
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, AcknowledgedDatagrams
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.server.packetizer import NO_SESSION, Key
from craftnet.protocols.udp.server.send_queue import SendQueue
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind


class Unprotected:
    """Numbers datagrams, which are their bodies."""

    def __init__(self) -> None:
        self.sent = 0
        self.kinds: list[DatagramKind] = []
        self.bodies: list[bytes] = []

    def seal(self, kind: DatagramKind, body: bytes = b"") -> bytes:
        """As in `Channel`."""
        self.sent += 1
        self.kinds.append(kind)
        self.bodies.append(body)
        return body


def arrived(*sequences: int) -> AcknowledgedDatagrams:
    """An acknowledgement of these."""
    newest = max(sequences)
    return AcknowledgedDatagrams(newest, sum(1 << newest - sequence for sequence in sequences))


class SendQueueTests(SynchronousTestCase):
    """When each record is sent, with 100 bytes for records in a datagram, and the initial timeout of 1 s."""

    def setUp(self) -> None:
        self.queue = SendQueue(Agreement(100 + OVERHEAD, 100 + OVERHEAD), Unprotected(), RoundTrip(), Pacer())

    def _flush(self, now: float) -> list[bytes]:
        return self.queue.flush(now)

    def test_records_share_datagrams_and_are_never_cut(self) -> None:
        self.queue.put(0, "a", [b"1" * 60, b"2" * 30, b"3" * 20])
        self.assertEqual(self._flush(0.0), [b"1" * 60 + b"2" * 30, b"3" * 20])

    def test_newest_wins_before_and_after_sending(self) -> None:
        self.queue.put(0, "a", [b"old", b"old too"])
        self.queue.put(0, "b", [b"other"])
        self.queue.put(0, "a", [b"new"])
        self.assertEqual(self._flush(0.0), [b"newother"])
        self.queue.put(0, "a", [b"newest"])
        self.assertEqual(self._flush(0.0), [b"newest"])
        self.queue.acknowledged(arrived(1), 0.0)
        self.assertFalse(self.queue.empty)
        self.queue.acknowledged(arrived(2), 0.0)
        self.assertTrue(self.queue.empty)

    def test_sessions_stand_together_behind_their_selectors(self) -> None:
        """Whatever the order they came in; the connection's own records, and session 0, need none."""
        self.queue.put(2, "a", [b"two"])
        self.queue.put(0, "a", [b"zero"])
        self.queue.put(NO_SESSION, "secret", [b"secret"])
        self.queue.put(1, "a", [b"one"])
        self.queue.put(2, "b", [b"more"])
        self.assertEqual(self._flush(0.0), [b"secret" + b"zero" + b"\x07\1one" + b"\x07\2two" + b"more"])

    def test_selectors_take_room(self) -> None:
        for session in (0, 1, 2):
            self.queue.put(session, "a", [b"x" * 33])
        self.assertEqual([len(body) for body in self._flush(0.0)], [33 + 2 + 33, 2 + 33])

    def test_waiting_records_keep_their_order(self) -> None:
        """Otherwise records behind one that changes all the time would never be sent."""
        for octets in (b"old", b"new"):
            for session in (1, 2):
                self.queue.put(session, "a", [octets])
        self.queue.put(2, "a", [b"newer" * 17])
        self.queue.put(1, "a", [b"newest" * 5])
        self.assertEqual([body[:4] for body in self._flush(0.0)], [b"\x07\1ne", b"\x07\2ne"])

    def test_dropping_a_session(self) -> None:
        for session in (1, 2):
            self.queue.put(session, "a", [b"waiting"])
        self._flush(0.0)
        self.queue.put(1, "b", [b"another"])
        self.queue.drop(1)
        self.assertFalse(self.queue.keeps(1))
        self.assertTrue(self.queue.keeps(2))
        self.assertEqual(self._flush(self.queue.deadline), [b"\x07\2waiting"])

    def test_what_is_not_acknowledged_is_repeated_with_backoff(self) -> None:
        self.queue.put(0, "a", [b"x"])
        self._flush(0.0)
        timeout = 1.0 + MAX_ACK_DELAY
        self.assertEqual(self.queue.deadline, timeout)
        self.assertEqual(self._flush(0.9), [])
        self.assertEqual(self._flush(timeout), [b"x"])
        self.assertEqual(self.queue.deadline, 3 * timeout)

    def test_what_is_lost_is_repeated_however_much_follows_it(self) -> None:
        """Neither later datagrams nor their acknowledgements postpone it."""
        self.queue.put(0, "lost", [b"lost"])
        self._flush(0.0)
        repeated = []
        for step in range(1, 30):
            now = step / 10
            self.queue.put(0, "often", [b"often"])
            repeated += [now for body in self._flush(now) if b"lost" in body]
            self.queue.acknowledged(arrived(*range(2, 100)), now)
            if repeated:
                break
        self.assertEqual(repeated, [1.1])
        self.assertTrue(self.queue.empty)

    def test_what_was_sent_in_turn_is_repeated_in_turn_and_the_wait_doubles_once_for_all(self) -> None:
        timeout = 1.0 + MAX_ACK_DELAY
        self.queue.put(0, "a", [b"a"])
        self._flush(0.0)
        self.queue.put(0, "b", [b"b"])
        self._flush(0.5)
        sent = []
        while self.queue.deadline < 4.5:
            now = self.queue.deadline
            sent.append((now, *self._flush(now)))
        self.assertEqual(
            sent,
            [(timeout, b"a"), (0.5 + timeout, b"b"), (3 * timeout, b"a"), (0.5 + 3 * timeout, b"b")],
        )

    def test_an_acknowledgement_ends_the_doubled_wait(self) -> None:
        """What was sent while nothing arrived is repeated as soon as what is sent now."""
        timeout = 1.0 + MAX_ACK_DELAY
        self.queue.put(0, "a", [b"a"])
        self._flush(0.0)
        self._flush(timeout)
        self.queue.put(0, "b", [b"b"])
        self._flush(timeout + 0.1)
        self.assertEqual(self.queue.deadline, 3 * timeout)
        self.queue.acknowledged(arrived(3), timeout + 0.2)
        self.assertEqual(self.queue.deadline, timeout + 0.2 + timeout)
        self.assertEqual(self._flush(self.queue.deadline), [b"a"])

    def test_an_acknowledgement_that_waited_for_company_is_waited_for(self) -> None:
        """On a line that always takes as long, the timeout comes down to the round trip itself."""
        trip = RoundTrip()
        for _ in range(50):
            trip.measured(0.2)
        queue = SendQueue(Agreement(100 + OVERHEAD, 100 + OVERHEAD), Unprotected(), trip, Pacer())
        queue.put(0, "a", [b"x"])
        queue.flush(0.0)
        self.assertGreater(queue.deadline, 0.2 + ACK_DELAY + 0.01)

    def test_only_the_missing_part_is_repeated(self) -> None:
        self.queue.put(0, "a", [b"1" * 90, b"2" * 90, b"3" * 90])
        self._flush(0.0)
        self.queue.acknowledged(arrived(1, 3), 0.0)
        self.assertEqual(self._flush(self.queue.deadline), [b"2" * 90])

    def test_repeating_goes_on_at_the_slowest_pace(self) -> None:
        """However long a path is dead, the last states must arrive when it is back."""
        self.queue.put(0, "a", [b"x"])
        self._flush(0.0)
        times = []
        for _ in range(12):
            times.append(self.queue.deadline)
            self.assertEqual(self._flush(times[-1]), [b"x"])
        self.assertEqual([after - before for before, after in pairwise(times[5:])], [MAX_TIMEOUT] * 6)

    def test_bytes_are_paced(self) -> None:
        """A long table takes as long as the rate says, and a change in the meantime replaces what waits."""
        self.queue.put(0, "a", [bytes([index]) * 100 for index in range(200)])
        first = self._flush(0.0)
        self.assertLessEqual(sum(len(datagram) + 48 for datagram in first), MAX_RATE * BURST_SECONDS + 148)
        sent, now = len(first), 0.0
        while sent < 200:
            now = self.queue.deadline
            self.queue.acknowledged(arrived(*range(1, 1000)), now)
            sent += len(self._flush(now))
        self.assertAlmostEqual(now, 200 * 148 / MAX_RATE - BURST_SECONDS, places=2)

    def test_conflation_while_paced(self) -> None:
        self.queue.put(0, "big", [b"x" * 100] * 60)
        self._flush(0.0)
        for number in range(50):
            self.queue.put(0, "progress", [b"%d" % number])
        self.queue.put(0, "big", [])
        self.assertEqual(self._flush(10.0), [b"49"])

    def test_nothing_to_do(self) -> None:
        self.assertEqual((self._flush(0.0), self.queue.deadline, self.queue.empty), ([], inf, True))


class OvertakingTests(SynchronousTestCase):
    """Where the rate predicts queues, progress overtakes tables that wait for it."""

    def _first(self, pace: Pacer, before: int) -> bytes:
        """What goes first, after so many datagrams, of a table that waits longer than a progress."""
        protection = Unprotected()
        protection.sent = before
        queue = SendQueue(Agreement(100 + OVERHEAD, 100 + OVERHEAD), protection, RoundTrip(), pace)
        queue.put(0, "materials", [b"t" * 100] * 3)
        queue.put(1, "progress", [b"p"])
        queue.flush(0.0)
        return protection.bodies[0][-1:]

    def test_three_times_of_four(self) -> None:
        """Tables arrive, too, however much progress there is."""
        firsts = [self._first(DelayPacer(), before) for before in range(4)]
        self.assertEqual(firsts, [b"t", b"p", b"p", b"p"])

    def test_not_otherwise(self) -> None:
        self.assertEqual([self._first(Pacer(), before) for before in range(4)], [b"t"] * 4)


class Counted:
    """A packing that leaves the first octets, and counts how often it was tried."""

    name = COMPRESSIONS["lz4"].name
    decompress = COMPRESSIONS["lz4"].decompress

    def __init__(self) -> None:
        self.tries = 0
        self.keep = 10_000

    def compress(self, content: bytes) -> bytes:
        """See `Compression`."""
        self.tries += 1
        return content[: self.keep]


class CompressedSendQueueTests(SynchronousTestCase):
    """The same where LZ4 was agreed on: records that stay long by themselves, and short ones together."""

    def setUp(self) -> None:
        agreement = Agreement(100 + OVERHEAD, 4096, COMPRESSIONS["lz4"])
        self.pace = Pacer()
        self.protection = Unprotected()
        self.queue = SendQueue(agreement, self.protection, RoundTrip(), self.pace)

    def _flush(self, now: float) -> list[DatagramKind]:
        """The kinds of datagrams that are sent."""
        before = self.protection.sent
        self.queue.flush(now)
        return self.protection.kinds[before:]

    def _arrived(self, *sequences: int) -> list[Key]:
        return self.queue.acknowledged(arrived(*sequences), 0.0)

    def _several(self, session: int = 0) -> None:
        """Something that takes more than one datagram, packed."""
        random = Random(session)
        self.queue.put(session, "table", [(octets := random.randbytes(40)) + octets for _ in range(4)])

    def test_a_record_has_arrived_when_all_parts_of_its_message_have(self) -> None:
        self._several()
        self.assertEqual(self._flush(0.0), [DatagramKind.MESSAGE] * 2)
        self.assertEqual(self._arrived(2), [])
        self.assertEqual(len(self._arrived(1)), 4)
        self.assertTrue(self.queue.empty)

    def test_parts_may_be_acknowledged_in_one_go(self) -> None:
        self._several()
        self._flush(0.0)
        self.assertEqual(len(self._arrived(1, 2)), 4)

    def test_all_of_it_goes_again_when_a_part_is_lost(self) -> None:
        self._several()
        self._flush(0.0)
        self._arrived(1)
        self.assertEqual(self._flush(self.queue.deadline), [DatagramKind.MESSAGE] * 2)
        self.assertEqual(self._arrived(2), [])
        self.assertEqual(len(self._arrived(3, 4)), 4)

    def test_one_message_of_several_parts_at_a_time(self) -> None:
        """So that a client never drops one that is still needed."""
        self._several(0)
        self._flush(0.0)
        self._several(1)
        self.assertEqual(self._flush(0.0), [DatagramKind.STATE] * 4)
        self._arrived(1)
        self._several(1)
        self.assertEqual(self._flush(0.0), [DatagramKind.STATE] * 4)
        self._arrived(2)
        self._several(1)
        self.assertEqual(self._flush(0.0), [DatagramKind.MESSAGE] * 2)

    def test_on_a_bad_line_nothing_goes_in_parts(self) -> None:
        """All parts of a message must arrive."""
        self.pace.adapt(PathStats(loss_out=0.06), 0.0)
        self._several()
        self.assertEqual(self._flush(0.0), [DatagramKind.MESSAGE] * 2)
        self.assertEqual([codec.decode_fragment(body).last for body in self.protection.bodies], [0, 0])

    def test_a_superseded_message_does_not_block_others(self) -> None:
        self._several(0)
        self._flush(0.0)
        self._several(0)
        self.assertEqual(self._flush(0.0), [DatagramKind.MESSAGE] * 2)

    def test_a_secret_is_packed_with_nothing(self) -> None:
        secret = b"s" * 33
        self.queue.put(0, "table", [b"s" * 90] * 10)
        self.queue.put(NO_SESSION, "secret", [secret])
        self.assertEqual(self._flush(0.0), [DatagramKind.MESSAGE, DatagramKind.STATE])
        self.assertEqual(self.protection.bodies[1], secret)
        self.queue.put(NO_SESSION, "secret", [secret * 4])
        self.assertEqual(self._flush(0.0), [DatagramKind.STATE])

    def test_incompressible_records_are_tried_once(self) -> None:
        """And again when something has arrived: a longer message may go then."""
        algorithm = Counted()
        queue = SendQueue(Agreement(100 + OVERHEAD, 4096, algorithm), self.protection, RoundTrip(), Pacer())
        queue.put(0, "table", [b"x" * 90] * 100)
        while queue.deadline < 0.1:
            queue.flush(max(0.0, queue.deadline))
        self.assertEqual(algorithm.tries, 1)
        queue.acknowledged(arrived(*range(1, 1000)), 0.1)
        while queue.deadline < 0.5:
            queue.flush(queue.deadline)
        self.assertEqual(algorithm.tries, 2)

    def test_behind_a_message_of_several_parts_it_is_tried_once(self) -> None:
        algorithm = Counted()
        queue = SendQueue(Agreement(100 + OVERHEAD, 4096, algorithm), self.protection, RoundTrip(), Pacer())
        algorithm.keep = 150
        queue.put(0, "table", [b"x" * 90] * 4)
        queue.flush(0.0)
        self.assertEqual(self.protection.kinds, [DatagramKind.MESSAGE] * 2)
        algorithm.keep = 10_000
        queue.put(1, "table", [b"x" * 90] * 100)
        while queue.deadline < 0.5:
            queue.flush(queue.deadline)
        self.assertEqual(algorithm.tries, 2)
