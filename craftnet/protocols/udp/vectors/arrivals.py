"""Test vectors of datagrams as a network delivers them: across key updates, late, repeated, too late."""

from __future__ import annotations

from typing import NamedTuple


class Arrival(NamedTuple):
    """A HEARTBEAT of the server, sealed with the keys of `generation`, and its outcome."""

    name: str
    sequence: int
    generation: int
    outcome: str = "accepted"


ARRIVALS = (
    Arrival("the second comes first", 2, 0),
    Arrival("the first, late", 1, 0),
    Arrival("twice", 2, 0, "replayed"),
    Arrival("after a rotation", 5, 1),
    Arrival("from before it, late", 3, 0),
    Arrival("the first of the generation, late", 4, 1),
    Arrival("a generation is left out", 6, 3, "forged"),
    Arrival("the newest so far", 10, 1),
    Arrival("keys of before are good for nothing behind the first of the next", 7, 0, "forged"),
    Arrival("after another rotation", 300, 2),
    Arrival("the oldest that is taken", 45, 1),
    Arrival("one older", 44, 1, "stale"),
    Arrival("keys of two rotations ago", 46, 0, "forged"),
    Arrival("as far ahead as 16 bits can tell", 33_069, 2),
    Arrival("beyond 16 bits", 65_790, 2),
    Arrival("from before the 16 bits were over, late", 65_535, 2),
)
"""In the order in which a client receives them, from the first sealed datagram on."""
