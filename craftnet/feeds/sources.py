"""The three sources that feeds listen to, in one value."""

from __future__ import annotations

from msgspec import Struct

from craftnet.interfaces import IMaterialSource, IQueueSource, ISessionSource


class Sources(Struct, frozen=True):
    """Where sessions, materials and queues come from; each may be of another provider."""

    sessions: ISessionSource
    materials: IMaterialSource
    queues: IQueueSource
