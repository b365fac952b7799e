"""What every back end must do: a suite to be mixed into a `twisted.trial.unittest.TestCase`.

A suite uses only the interfaces. It awaits every answer and calls `settle` before it checks what listeners received, so
a provider may answer, and deliver, at any later time.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from craftnet.interfaces import (
    IBackend,
    IMaterialSource,
    IQueueSource,
    ISessionSource,
)
from craftnet.tests.contracts.materials import MaterialSourceContract
from craftnet.tests.contracts.queues import QueueSourceContract
from craftnet.tests.contracts.sessions import SessionSourceContract
from craftnet.tests.contracts.source import ACCEPTED
from craftnet.tests.support.samples import (
    event,
    start,
)


class BackendContract(SessionSourceContract, MaterialSourceContract, QueueSourceContract):
    """For an `IBackend`, and for its three sources; `make_backend` gives an empty one, ready for use."""

    async def make_backend(self) -> IBackend:
        """The provider under test."""
        raise NotImplementedError

    async def make_sessions(self) -> ISessionSource:
        """As in `SessionSourceContract`."""
        return (await self.make_backend()).sessions

    async def make_materials(self) -> IMaterialSource:
        """As in `MaterialSourceContract`."""
        return (await self.make_backend()).materials

    async def make_queues(self) -> IQueueSource:
        """As in `QueueSourceContract`."""
        return (await self.make_backend()).queues

    async def test_backend_interfaces(self) -> None:
        backend = await self.make_backend()
        verifyObject(IBackend, backend)
        verifyObject(ISessionSource, backend.sessions)
        verifyObject(IMaterialSource, backend.materials)
        verifyObject(IQueueSource, backend.queues)

    async def test_backend_one_event_two_sources(self) -> None:
        """A start goes to the sessions and to the materials; neither takes it for the other's duplicate."""
        backend = await self.make_backend()
        begun = event(start())
        self.assertEqual(await self.verdicts(backend.sessions, [begun]), [ACCEPTED])
        self.assertEqual(await self.verdicts(backend.materials, [begun]), [ACCEPTED])
