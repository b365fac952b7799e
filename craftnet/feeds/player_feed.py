"""Everything of one player over one connection: the player's queue entries, and all sessions as they start and end.

A player's feed has no state of its own. It joins the feeds of a queue and of sessions, which others share, and passes
on what they deliver; each message names its session, and its position is that session's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.admin.sessions import ConnectionRow
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.position import Position
from craftnet.crafting.state import QueueChange
from craftnet.crafting.updates import Update
from craftnet.errors import NotFound
from craftnet.feeds.hub import Hub
from craftnet.interfaces import IInspectable, IPlayerListener, IPlayerSessions, ISessionSource, ISubscriber

QUEUE = None
"""The key of the queue's position among the positions of sessions."""

Positions = Mapping[UUID | None, Position]
"""Where a returning subscriber is in the feed of each session, and under `QUEUE` in that of the queue."""


class PlayerFeeds:
    """The feeds of players.

    Arguments:
        hub: has the feeds of queues and sessions.
        sessions: keeps the sessions; only an `IPlayerSessions` knows those of a player. None where no feed is opened.
    """

    def __init__(self, hub: Hub, sessions: ISessionSource | None) -> None:
        self._hub = hub
        self._sessions = sessions
        self._feeds: dict[ISubscriber, _PlayerFeed] = {}

    def check(self) -> None:
        """Raises:
        NotFound: the back end does not know which sessions a player has.
        """
        if not IPlayerSessions.providedBy(self._sessions):
            raise NotFound("The back end of this server does not know a player's sessions: name a session.")

    def subscribe(
        self, player_id: UUID, subscriber: ISubscriber, resume: Positions, expected: bool = False
    ) -> Deferred[None]:
        """Gives `subscriber` the current state of everything of a player, and every change from then on.

        Arguments:
            resume: as in `Positions`; empty for a new subscriber.
            expected: as in `Hub.subscribe_session`.

        Returns:
            A Deferred that fires when the current state was delivered. Fails as `Feed.subscribe`.
        """
        assert self._sessions is not None
        feed = self._feeds[subscriber] = _PlayerFeed(self._hub, self._sessions, player_id, subscriber, resume, expected)
        return Deferred.fromCoroutine(feed.open())

    def unsubscribe(self, subscriber: ISubscriber) -> None:
        """Removes `subscriber`. Unknown ones are ignored."""
        feed = self._feeds.pop(subscriber, None)
        if feed is not None:
            feed.close()

    def position(self, subscriber: ISubscriber, session_id: UUID | None) -> Position | None:
        """Where the feed of a session, or of the queue, is; None when `subscriber` has no such feed."""
        feed = self._feeds.get(subscriber)
        return None if feed is None else feed.position(session_id)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        """Sends `subscriber` the position of the player's queue."""
        feed = self._feeds.get(subscriber)
        if feed is not None:
            feed.send_heartbeat()


@implementer(IPlayerListener)
class _PlayerFeed:
    """The feed of one subscriber; as in `PlayerFeeds.subscribe`."""

    def __init__(
        self,
        hub: Hub,
        sessions: ISessionSource,
        player_id: UUID,
        subscriber: ISubscriber,
        resume: Positions,
        expected: bool,
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._player_id = player_id
        self._subscriber = subscriber
        self._resume = resume
        self._expected = expected
        self._queue = Member(subscriber.deliver, subscriber.ended, subscriber)
        self._members: dict[UUID, Member] = {}
        self._open = True

    async def open(self) -> None:
        """Delivers the current state."""
        await self._hub.subscribe_queue(self._player_id, self._queue, self._resume.get(QUEUE))
        players: IPlayerSessions = self._sessions  # type: ignore[assignment]  # `PlayerFeeds.check` was called.
        under_way = await players.watch_player(self._player_id, self)
        resumed = [session_id for session_id in self._resume if session_id is not None]
        for session_id in dict.fromkeys([*resumed, *under_way]):
            await self._join(session_id)

    def position(self, session_id: UUID | None) -> Position | None:
        """As in `PlayerFeeds`."""
        if session_id is None:
            return self._hub.queue_position(self._player_id)
        return self._hub.session_position(session_id) if session_id in self._members else None

    def send_heartbeat(self) -> None:
        """Sends the position of the queue."""
        self._hub.queue_heartbeat(self._player_id, self._queue)

    def close(self) -> None:
        """Leaves every feed."""
        if not self._open:
            return
        self._open = False
        players: IPlayerSessions = self._sessions  # type: ignore[assignment]  # as above.
        players.unwatch_player(self._player_id, self)
        self._hub.unsubscribe_queue(self._player_id, self._queue)
        for session_id, member in self._members.items():
            self._hub.unsubscribe_session(session_id, member)

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`."""
        Deferred.fromCoroutine(self._join(session_id)).addErrback(self._failed)

    async def _join(self, session_id: UUID) -> None:
        """Joins the feed of a session, if it exists and is the player's."""
        state = await self._sessions.get(session_id)
        if not self._open or session_id in self._members or state is None or state.player_id != self._player_id:
            return
        member = self._members[session_id] = Member(
            self._passed_on, partial(self._session_removed, session_id), self._subscriber
        )
        try:
            await self._hub.subscribe_session(session_id, member, self._resume.get(session_id), self._expected)
        except NotFound:
            self._members.pop(session_id, None)

    def _passed_on(self, update: Update) -> None:
        # The queue's own feed delivers its entries once; those of sessions would repeat them for each.
        if self._open and not isinstance(update.state, QueueChange):
            self._subscriber.deliver(update)

    def _session_removed(self, session_id: UUID, code: CloseCode) -> None:
        self._members.pop(session_id, None)

    def _failed(self, failure: Failure) -> None:
        """A session that has started cannot be watched: the subscriber must come back."""
        if self._open:
            self._subscriber.ended(CloseCode.INTERNAL_ERROR)


@implementer(ISubscriber, IInspectable)
class Member:
    """What a player's feed joins another feed as."""

    __slots__ = ("_deliver", "_ended", "_subscriber")

    def __init__(
        self, deliver: Callable[[Update], None], ended: Callable[[CloseCode], None], subscriber: ISubscriber
    ) -> None:
        self._deliver = deliver
        self._ended = ended
        self._subscriber = subscriber

    def inspect(self) -> ConnectionRow:
        """As in `IInspectable`, of the player's connection."""
        return IInspectable(self._subscriber).inspect()

    def trace(self, record: Callable[[TraceEntry], None]) -> Callable[[], None]:
        """As in `IInspectable`, of the player's connection."""
        return IInspectable(self._subscriber).trace(record)

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        self._deliver(update)

    def ended(self, code: CloseCode) -> None:
        """As in `ISubscriber`."""
        self._ended(code)
