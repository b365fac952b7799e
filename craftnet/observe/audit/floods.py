"""Aggregates floods of security events: the first of a kind is recorded, its repetitions are counted. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from craftnet.limits.client_address import address_key
from craftnet.limits.token_bucket import TokenBucket
from craftnet.observe.audit.events import FLOODS, SecurityEvent, SecurityEventType

FLOOD_WINDOW = 10.0
"""Seconds over which repetitions of an event are counted before their number is recorded."""

MAX_FLOODS = 4096
"""Clients whose repetitions are counted separately; those of further clients are counted together."""

RATE = 50.0
"""Events per second that clients can cause, of all kinds, recorded one by one …"""

FLOOD_BURST = 500.0
"""… and this many at once after a pause."""

_Key = tuple[SecurityEventType, str, str, UUID | None, int | None, str]


class _Flood(Struct):
    """Repetitions of one event.

    Attributes:
        event: the newest.
        began: when counting began, on the steady clock.
        since: the time of the first repetition, Unix seconds.
        count: their number.
    """

    event: SecurityEvent
    began: float
    since: float = 0.0
    count: int = 0

    def repeat(self, event: SecurityEvent) -> None:
        if not self.count:
            self.since = event.time
        self.event = event
        self.count += 1

    @property
    def summary(self) -> SecurityEvent:
        return replace(self.event, count=self.count, since=self.since)


class FloodAggregator:
    """Decides which events are recorded one by one.

    Arguments:
        window: seconds over which repetitions are counted.
        rate, burst: how many events per second, and at once, are recorded one by one.
        capacity: the number of different events that are counted separately at once.
    """

    def __init__(
        self,
        *,
        window: float = FLOOD_WINDOW,
        rate: float = RATE,
        burst: float = FLOOD_BURST,
        capacity: int = MAX_FLOODS,
    ) -> None:
        self._window = window
        self._bucket = TokenBucket(rate, burst)
        self._capacity = capacity
        self._full_at = float("-inf")
        self._floods: dict[_Key, _Flood] = {}  # oldest first.

    def admit(self, event: SecurityEvent, now: float) -> bool:
        """Whether the event is to be recorded by itself; otherwise it is counted.

        Arguments:
            now: on the steady clock, seconds.
        """
        if event.type not in FLOODS:
            return True
        key = (
            event.type,
            address_key(event.address),
            event.transport,
            event.player_id,
            event.status,
            event.reason,
        )
        flood = self._floods.get(key)
        if flood is not None:
            flood.repeat(event)
            return False
        full_at = None if len(self._floods) >= self._capacity else self._bucket.take(self._full_at, now)
        if full_at is None:
            self._merge(event, now)
            return False
        self._full_at = full_at
        self._floods[key] = _Flood(event, now)
        return True

    def due(self, now: float) -> list[SecurityEvent]:
        """The summaries of floods that were counted for long enough."""
        summaries = []
        while self._floods:
            key, flood = next(iter(self._floods.items()))
            if now - flood.began < self._window:
                break
            del self._floods[key]
            if flood.count:
                summaries.append(flood.summary)
        return summaries

    def rest(self) -> list[SecurityEvent]:
        """The summaries of all floods; counting starts again."""
        return self.due(float("inf"))

    def _merge(self, event: SecurityEvent, now: float) -> None:
        """Counts an event together with those of other clients."""
        key = (event.type, "", event.transport, None, event.status, "")
        flood = self._floods.setdefault(key, _Flood(event, now))
        flood.repeat(
            replace(event, address="", player_id=None, trace_id="", details=None, reason="several clients, see count")
        )
