"""Events of many things are read and written together; a fault of one does not affect the others."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from uuid import UUID, uuid4

from craftnet.contract.events import Event, EventOutcome
from craftnet.providers.redis import scripts
from craftnet.providers.redis.event_writer import MAX_PER_SCRIPT
from craftnet.tests.contracts.source import ACCEPTED, DUPLICATE, REJECTED, progress, queued
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, SESSION, event, start

BATCH = 40
"""Sessions of one batch."""


def progresses(sessions: Sequence[UUID], number: int) -> list[Event]:
    """One of each session."""
    return [event(progress(float(number), session_id=session), NOW + number) for session in sessions]


def verdicts(outcomes: Sequence[EventOutcome]) -> list[object]:
    """The outcomes of events, without reasons."""
    return [outcome.verdict for outcome in outcomes]


class BatchTests(RedisTestCase):
    async def test_two_scripts(self) -> None:
        """However many sessions the events of a batch are about, up to a bound, where another node wrote them."""
        relay, port = self.relayed()
        node, other = self.backend(port=port), self.backend()
        await node.sessions.apply([event(start(uuid4()))])  # from then on, scripts are named by their digests.
        for count in (1, BATCH):
            sessions = [uuid4() for _ in range(count)]
            await other.sessions.apply([event(start(session)) for session in sessions])
            before = b"".join(relay.sent)
            outcomes = await node.sessions.apply(progresses(sessions, count))
            self.assertEqual(verdicts(outcomes), [ACCEPTED] * count)
            for script in (scripts.READ, scripts.COMMIT):
                name = sha1(script).hexdigest().encode()
                self.assertEqual(b"".join(relay.sent).count(name) - before.count(name), 1)

    async def test_started_whole(self) -> None:
        """More sessions than one script takes, each with its materials; sent again, all of them are known."""
        node = self.backend()
        sessions = [uuid4() for _ in range(MAX_PER_SCRIPT + 1)]
        starts = [event(start(session)) for session in sessions]
        self.assertEqual(verdicts(await node.sessions.apply_with_materials(starts)), [ACCEPTED] * len(starts))
        for session in sessions:
            self.assertEqual(len((await node.materials.get(session)).materials), 1)
        self.assertEqual(verdicts(await node.sessions.apply_with_materials(starts)), [DUPLICATE] * len(starts))

    async def test_two_nodes_at_once(self) -> None:
        """Each session is compared and set separately, and a failed one is retried."""
        nodes = [self.backend(), self.backend()]
        sessions = [uuid4() for _ in range(20)]
        await nodes[0].sessions.apply([event(start(session)) for session in sessions])
        posts = [nodes[turn % 2].sessions.apply(progresses(sessions, turn + 1)) for turn in range(8)]
        accepted = dict.fromkeys(sessions, 1)
        for post in posts:
            for session, outcome in zip(sessions, await post, strict=True):
                accepted[session] += outcome.verdict is ACCEPTED
        for session in sessions:
            state = await nodes[0].sessions.get(session)
            assert state is not None
            self.assertEqual(state.version, accepted[session])
            self.assertEqual(self.server.command("ZCARD", f"test:seen:session:{session}"), b":%d\r\n" % state.version)

    async def test_one_session_claimed_twice(self) -> None:
        """By two players in one batch: it waits in the name of one of them only."""
        node = self.backend()
        first, second = (event(queued(1, player_id=uuid4()), session_id=SESSION) for _ in range(2))
        self.assertEqual(verdicts(await node.queues.apply([first, second])), [ACCEPTED, REJECTED])
        self.assertEqual(self.server.command("HLEN", "test:waiters"), b":1\r\n")

    async def test_materials_that_are_not_ours(self) -> None:
        """Only the session that would start with them is refused, and is not half begun."""
        node = self.backend()
        sessions = [uuid4() for _ in range(3)]
        self.server.command("SET", f"test:materials:{sessions[1]}", "a string")
        outcomes = await node.sessions.apply_with_materials([event(start(session)) for session in sessions])
        self.assertEqual(verdicts(outcomes), [ACCEPTED, REJECTED, ACCEPTED])
        self.assertEqual([await node.sessions.get(session) is None for session in sessions], [False, True, False])

    async def test_one_is_lost(self) -> None:
        """It starts again, in another data set, and the others continue."""
        node = self.backend()
        sessions = [uuid4() for _ in range(3)]
        starts = [event(start(session)) for session in sessions]
        await node.sessions.apply(starts)
        data_set = self.server.command("GET", "test:epoch")
        self.server.command("DEL", f"test:session:{sessions[1]}", f"test:seen:session:{sessions[1]}")
        outcomes = await node.sessions.apply([*progresses(sessions[::2], 1), event(start(sessions[1]), NOW + 1)])
        self.assertEqual(verdicts(outcomes), [ACCEPTED] * 3)
        states = [await node.sessions.get(session) for session in sessions]
        self.assertEqual([state and state.version for state in states], [2, 1, 2])
        self.assertNotEqual(self.server.command("GET", "test:epoch"), data_set)
