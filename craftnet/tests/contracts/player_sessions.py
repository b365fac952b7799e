"""What a back end must do whose session source is an `IPlayerSessions`, too.

To be mixed into a `twisted.trial.unittest.TestCase`, beside `craftnet.tests.contracts.backend.BackendContract`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.contract.events import Event, SessionStart
from craftnet.interfaces import IBackend, IPlayerListener, IPlayerSessions
from craftnet.tests.contracts.source import Suite, complete, progress
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, RECIPE, SESSION, event, start

THIRD = UUID("33333333-0000-4000-8000-000000000003")


@implementer(IPlayerListener)
class PlayerRecorder:
    """Notes the sessions that started."""

    def __init__(self) -> None:
        self.started: list[UUID] = []

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`."""
        self.started.append(session_id)


def of_another(session_id: UUID) -> Event:
    """A start of another player's session."""
    return event(SessionStart(session_id=session_id, recipe_id=RECIPE, player_id=OTHER_PLAYER), NOW)


class PlayerSessionsContract(Suite):
    """`make_backend` gives an empty back end; `settle` waits until its listeners have heard everything."""

    async def make_backend(self) -> IBackend:
        """The provider under test."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Wait until listeners have heard all that was applied so far."""

    async def players(self) -> Any:
        """Its sessions, as an `IPlayerSessions`."""
        sessions = (await self.make_backend()).sessions
        verifyObject(IPlayerSessions, sessions)
        return sessions

    async def test_under_way(self) -> None:
        """Those that have started and not ended, oldest first; of this player alone."""
        sessions = await self.players()
        self.assertEqual(list(await sessions.watch_player(PLAYER, PlayerRecorder())), [])
        await sessions.apply([event(start(), NOW)])
        await sessions.apply([event(start(OTHER_SESSION), NOW + 1), of_another(THIRD)])
        self.assertEqual(list(await sessions.watch_player(PLAYER, PlayerRecorder())), [SESSION, OTHER_SESSION])
        await sessions.apply([event(progress(50.0), NOW + 30), event(complete(), NOW + 60)])
        self.assertEqual(list(await sessions.watch_player(PLAYER, PlayerRecorder())), [OTHER_SESSION])
        self.assertEqual(list(await sessions.watch_player(OTHER_PLAYER, PlayerRecorder())), [THIRD])

    async def test_starts(self) -> None:
        """Listeners hear of each session as it starts, until they are removed."""
        sessions, listener = await self.players(), PlayerRecorder()
        await sessions.watch_player(PLAYER, listener)
        await sessions.apply([of_another(THIRD), event(start(), NOW), event(progress(50.0), NOW + 30)])
        await self.settle()
        self.assertEqual(listener.started, [SESSION])
        sessions.unwatch_player(PLAYER, listener)
        sessions.unwatch_player(PLAYER, listener)
        await sessions.apply([event(start(OTHER_SESSION), NOW + 60)])
        await self.settle()
        self.assertEqual(listener.started, [SESSION])
