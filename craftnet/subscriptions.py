"""From a target and a principal to a feed that may be watched: the same for every transport."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred

from craftnet.access.admission import Admission, Answer, Asked, GuardedRequest, administer
from craftnet.access.principal import Principal
from craftnet.hub import Hub
from craftnet.interfaces import IWatcher
from craftnet.observe.healthfeed import HealthFeed
from craftnet.targets import CraftingTarget, HealthTarget, QueueTarget, Target


class Subscription(Struct, frozen=True):
    """The right to watch one feed.

    Attributes:
        principal: who has it.
        session_id: the crafting session that the feed is of, if it is of one.
        watch: begin; answers when the current state was delivered.
        unwatch: end.
        heartbeat_interval: seconds of silence after which a heartbeat is wanted; 0: never.
        send_heartbeat: send the watcher one; None when none is wanted.
    """

    principal: Principal
    session_id: UUID | None
    watch: Callable[[IWatcher], Deferred[None]]
    unwatch: Callable[[IWatcher], None]
    heartbeat_interval: int = 0
    send_heartbeat: Callable[[IWatcher], None] | None = None


class Subscriptions:
    """Hands them out."""

    def __init__(self, admission: Admission, hub: Hub, health: HealthFeed) -> None:
        self._admission = admission
        self._hub = hub
        self._health = health

    async def judge(self, request: GuardedRequest[Asked, Answer]) -> Answer:
        """As `Admission.judge`."""
        return await self._admission.judge(request)

    async def admit(self, target: Target, principal: Principal) -> Subscription:
        """The feed of `target`, if `principal` may watch it.

        Raises:
            Refusal: NotFound, Forbidden or Unavailable.
        """
        match target:
            case CraftingTarget(session_id=session_id, player_id=player_id, resume=resume):
                await self._admission.crafting(principal, session_id, player_id)
                self._hub.check_hearing()
                return Subscription(
                    principal,
                    session_id,
                    partial(self._hub.watch_session, session_id, resume=resume),
                    partial(self._hub.unwatch_session, session_id),
                    target.heartbeat,
                    partial(self._hub.session_heartbeat, session_id) if target.heartbeat else None,
                )
            case QueueTarget(player_id=player_id, resume=resume):
                await self._admission.queue(principal, player_id)
                self._hub.check_hearing()
                return Subscription(
                    principal,
                    None,
                    partial(self._hub.watch_queue, player_id, resume=resume),
                    partial(self._hub.unwatch_queue, player_id),
                    target.heartbeat,
                    partial(self._hub.queue_heartbeat, player_id) if target.heartbeat else None,
                )
            case HealthTarget(services=services):
                administer(principal)
                return Subscription(
                    principal,
                    None,
                    partial(self._health.watch, services),
                    self._health.unwatch,
                    target.heartbeat,
                    self._health.send_heartbeat,
                )

    async def renew(self, token: str, former: Principal) -> Principal:
        """The bearer of `token`, if they may go on with a feed that `former` was admitted to.

        Raises:
            Refusal: Unauthorized, Forbidden or Unavailable.
        """
        return await self._admission.renew(token, former)
