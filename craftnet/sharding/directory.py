"""Finds the worker that owns a session.

A session is kept by the worker of its owner, who is named by its start, and by the queue update of a waiting craft.
Other events name only the session. A worker that does not know a session asks the others, and remembers the answer.

Events that contradict each other are rejected as one process would reject them, with one exception: a worker remembers
for which player a craft waited first, also when it then waits for, or is started by, a player of another worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from craftnet.contract.envelopes import EventHeading
from craftnet.errors import Unavailable
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.links import Links

MAX_REMEMBERED_SESSIONS = 200_000
"""Sessions whose worker is remembered."""


class Ownership(Struct, frozen=True, array_like=True):
    """The players of a session, as the worker that keeps it knows them.

    Attributes:
        owner: the player of the session, once it has started.
        holder: the player in whose name it waits in a queue.
    """

    owner: UUID | None
    holder: UUID | None


NO_OWNER = Ownership(None, None)
"""The ownership of an unknown session."""

OWNERSHIP: Operation[list[UUID], list[Ownership]] = Operation("ownership", list[UUID], list[Ownership])


class SessionDirectory:
    """Finds the worker that owns a session.

    Arguments:
        sources: those of this worker.
    """

    def __init__(self, links: Links, shards: Shards, sources: Sources) -> None:
        self._links = links
        self._shards = shards
        self._sources = sources
        # The number of the owner's worker by the session's id, as text because events have it so; the oldest first.
        self._known: dict[str, int] = {}
        links.handle(OWNERSHIP, self._answer)

    async def owner(self, session_id: UUID) -> UUID | None:
        """The owner of a session that another worker keeps.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        found = (await self._ask([session_id])).get(session_id)
        return None if found is None else found.owner or found.holder

    async def worker(self, session_id: UUID) -> int | None:
        """The number of the worker that owns a session; None when there is no such session.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        if str(session_id) not in self._known:
            (own,) = await self._answer(None, [session_id])
            if own == NO_OWNER:
                own = (await self._ask([session_id])).get(session_id, NO_OWNER)
            self._resolve(session_id, own)
        return self._known.get(str(session_id))

    async def workers_of(self, headings: Sequence[EventHeading]) -> list[int]:
        """The number of the worker for each event; this worker's where the session is unknown to all.

        There are fewer numbers than events when a later event contradicts an earlier one about the owner of a session:
        the caller asks again for the rest once the earlier ones are applied.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        known = self._known.get
        found = [known(each.data.session_id or "") if each.data.player_id is None else None for each in headings]
        if None in found:  # otherwise no event names a player, and each session is known.
            found, unsure = self._known_workers(headings, found)
            if unsure:
                asked = await self._ask(unsure)
                found = [self._worker_of(heading, asked) for heading in headings[: len(found)]]
        return [self._shards.number if worker is None else worker for worker in found]

    def _known_workers(
        self, headings: Sequence[EventHeading], found: Sequence[int | None]
    ) -> tuple[list[int | None], list[UUID]]:
        """The worker for each event as far as it is known, and the sessions for which all workers must be asked.

        As in `workers_of`, there may be fewer workers than events.

        Arguments:
            found: the workers that need no closer look.
        """
        workers: list[int | None] = []
        named: dict[UUID, UUID] = {}  # the owners that these events name.
        unsure: dict[UUID, None] = {}
        for heading, sure in zip(headings, found, strict=True):
            if sure is not None:
                workers.append(sure)
                continue
            known, player_id = self._find(heading), heading.player
            if player_id is not None:
                own, session_id = self._shards.of(player_id), heading.craft
                if session_id is None:
                    known = own
                elif named.setdefault(session_id, player_id) != player_id:
                    break
                elif known != own or heading.starts:
                    unsure[session_id] = None
            elif known is None and (session_id := heading.craft) is not None:
                unsure[session_id] = None
            workers.append(known)
        return workers, list(unsure)

    def _find(self, heading: EventHeading) -> int | None:
        """The worker of the event's session, if it is known."""
        known = self._known.get(heading.data.session_id or "")
        if known is not None:
            return known
        session_id = heading.craft  # named in the envelope, or written in capitals.
        return None if session_id is None else self._known.get(str(session_id))

    def _worker_of(self, heading: EventHeading, asked: Mapping[UUID, Ownership]) -> int | None:
        player_id = heading.player
        if player_id is None and (known := self._find(heading)) is not None:
            return known
        session_id = heading.craft
        found = asked.get(session_id, NO_OWNER) if session_id is not None else NO_OWNER
        if player_id is None:
            return self._resolve(session_id, found)
        own = self._shards.of(player_id)
        if session_id is None:
            return own
        # An event that contradicts another worker's state goes to that worker, which rejects it as one process would.
        other = found.owner if heading.starts else found.holder
        worker = own if other is None else self._shards.of(other)
        if found.owner is None or heading.starts:
            self._remember(session_id, worker)
        return worker

    def _resolve(self, session_id: UUID | None, found: Ownership) -> int | None:
        if session_id is None:
            return None
        player_id = found.owner or found.holder
        if str(session_id) not in self._known and player_id is not None:
            self._remember(session_id, self._shards.of(player_id))
        return self._known.get(str(session_id))

    def _remember(self, session_id: UUID, number: int) -> int:
        self._known[str(session_id)] = number
        if len(self._known) > MAX_REMEMBERED_SESSIONS:
            del self._known[next(iter(self._known))]
        return number

    async def _ask(self, session_ids: list[UUID]) -> dict[UUID, Ownership]:
        """What all workers know of sessions with an owner."""
        await self._links.first_contacts()
        answers_by_worker = [await self._answer(None, session_ids)]
        asked = {number: self._links.call(number, OWNERSHIP, session_ids) for number in self._links.connected}
        for number, answer in asked.items():
            try:
                answers_by_worker.append(await answer)
            except Unavailable:
                if number in self._links.connected:
                    raise
                # Otherwise it has ended, and its state with it.
        found: dict[UUID, Ownership] = {}
        for answers in answers_by_worker:
            for session_id, one in zip(session_ids, answers, strict=True):
                if one.owner or one.holder:
                    before = found.get(session_id, one)
                    found[session_id] = Ownership(before.owner or one.owner, before.holder or one.holder)
        return found

    async def _answer(self, _: Caller | None, session_ids: Sequence[UUID]) -> list[Ownership]:
        """What this worker knows."""
        known = []
        for session_id in session_ids:
            session = await self._sources.sessions.get(session_id)
            entry = await self._sources.queues.find(session_id)
            known.append(
                Ownership(None if session is None else session.player_id, None if entry is None else entry.player_id)
            )
        return known
