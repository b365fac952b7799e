"""The memory back end: the contracts of its interfaces, on time and late, and its factory."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from craftnet.errors import ConfigurationError
from craftnet.interfaces import (
    IBackend,
    IBackendFactory,
    IMaterialSource,
    IQueueSource,
    ISessionSource,
)
from craftnet.providers.memory.backend import MemoryBackend, MemoryFactory, MemorySettings
from craftnet.tests.contracts.backend import BackendContract
from craftnet.tests.contracts.materials import MaterialSourceContract
from craftnet.tests.contracts.player_sessions import PlayerSessionsContract
from craftnet.tests.contracts.queues import QueueSourceContract
from craftnet.tests.contracts.sessions import SessionSourceContract
from craftnet.tests.contracts.source import (
    ACCEPTED,
    REJECTED,
    complete,
)
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.late import LateMaterials, LateQueues, LateSessions
from craftnet.tests.support.samples import NOW, OTHER_SESSION, SESSION, event, start


def memory(settings: MemorySettings | None = None) -> MemoryBackend:
    """A back end with its own clock."""
    return MemoryBackend(SteppedClock(NOW), settings or MemorySettings())


class MemoryContractTests(BackendContract, PlayerSessionsContract, TestCase):
    async def make_backend(self) -> IBackend:
        return memory()


def next_turn(act: Callable[[], None]) -> None:
    """Do it in the reactor's next turn."""
    reactor.callLater(0, act)


class LateContractTests(SessionSourceContract, MaterialSourceContract, QueueSourceContract, TestCase):
    """The suites hold for a provider whose answers come later, too."""

    async def settle(self) -> None:
        await deferLater(reactor, 0)

    async def make_sessions(self) -> ISessionSource:
        return LateSessions(memory().sessions, next_turn)

    async def make_materials(self) -> IMaterialSource:
        return LateMaterials(memory().materials, next_turn)

    async def make_queues(self) -> IQueueSource:
        return LateQueues(memory().queues, next_turn)


class BackendTests(SynchronousTestCase):
    def test_forgotten_sessions_lose_their_materials(self) -> None:
        clock = SteppedClock(NOW)
        backend = MemoryBackend(clock, MemorySettings(retention=30.0))
        begun = event(start())
        self.successResultOf(backend.sessions.apply([begun, event(complete(), NOW + 1)]))
        self.successResultOf(backend.materials.apply([begun]))
        clock.advance(30.0)
        backend.sessions.expire()
        self.assertEqual(self.successResultOf(backend.materials.get(SESSION)).version, 0)

    def test_service_sweeps(self) -> None:
        clock = SteppedClock(NOW)
        backend = MemoryBackend(clock, MemorySettings(retention=30.0))
        self.successResultOf(backend.sessions.apply([event(start()), event(complete(), NOW + 1)]))
        backend.service.startService()
        clock.pump([1.0] * 31)
        self.assertEqual(self.successResultOf(backend.sessions.count()), 0)
        self.successResultOf(backend.service.stopService())
        self.assertEqual(clock.getDelayedCalls(), [])


class FactoryTests(SynchronousTestCase):
    def test_interface(self) -> None:
        verifyObject(IBackendFactory, MemoryFactory())

    def test_defaults(self) -> None:
        backend = MemoryFactory().build(SteppedClock(NOW), {})
        verifyObject(IBackend, backend)

    def test_arguments_arrive(self) -> None:
        backend = MemoryFactory().build(SteppedClock(NOW), {"capacity": "1", "retention": "2.5", "remembered": "7"})
        outcomes = self.successResultOf(backend.sessions.apply([event(start()), event(start(OTHER_SESSION))]))
        self.assertEqual([outcome.verdict for outcome in outcomes], [ACCEPTED, REJECTED])

    def test_bad_arguments_are_named(self) -> None:
        for name in MemoryFactory.arguments:
            for text in ("", "many", "0", "-1", "nan", "1e400", "100000001"):
                error = self.assertRaises(ConfigurationError, MemoryFactory().build, SteppedClock(NOW), {name: text})
                self.assertIn(name, str(error), text)
