"""The network conditions of a path, as one side of a connection sees them. Pure."""

from __future__ import annotations

from msgspec import Struct

from craftnet.protocols.udp.core.written_often import written_often

SETTLED_DATAGRAMS = 8
"""Sequences by which a missing datagram must be behind the newest to count as lost rather than late."""

OBSERVED_DATAGRAMS = 64
"""Datagrams over which loss is counted."""

SEEN_MASK = (1 << OBSERVED_DATAGRAMS) - 1


class PathStats(Struct, frozen=True, gc=False):
    """The measurements at one moment.

    Attributes:
        round_trip: smoothed, seconds; None before the first measurement.
        variation: of the round trip, seconds (RFC 6298).
        jitter: of the arrival of heartbeats, seconds (RFC 3550).
        offset: seconds by which the other side's clock is ahead; None before the first sample.
        uncertainty: seconds by which the offset may be wrong: half the round trip of its sample.
        loss_out, loss_in: share of the last datagrams sent, and received, that were lost, 0 to 1.
        reordered: share of the datagrams received that came after a later one, 0 to 1.
    """

    round_trip: float | None = None
    variation: float = 0.0
    jitter: float = 0.0
    offset: float | None = None
    uncertainty: float = 0.0
    loss_out: float = 0.0
    loss_in: float = 0.0
    reordered: float = 0.0


def missing_share(arrived: int, newest: int) -> float:
    """The share of the last datagrams that is missing.

    Arguments:
        arrived: bit i: sequence newest − i arrived.
        newest: the newest sequence; the first is 1.
    """
    counted = min(OBSERVED_DATAGRAMS, newest) - SETTLED_DATAGRAMS
    if counted <= 0:
        return 0.0
    return 1.0 - (arrived >> SETTLED_DATAGRAMS & (1 << counted) - 1).bit_count() / counted


@written_often
class DeliveryRecord(Struct, eq=False, gc=False):
    """Which of our last datagrams are known to have arrived.

    Attributes:
        newest: the newest sequence acknowledged; 0 before the first.
        arrived: bit i: sequence newest − i arrived.
    """

    newest: int = 0
    arrived: int = 0

    def take(self, newest: int, bits: int) -> None:
        """Records an acknowledgement: of newest − i for each bit i, the lowest of which is set."""
        ahead = newest - self.newest
        if ahead >= 0:
            self.arrived = (self.arrived << min(ahead, OBSERVED_DATAGRAMS) | bits) & SEEN_MASK
            self.newest = newest
        elif ahead > -OBSERVED_DATAGRAMS:
            self.arrived |= bits << -ahead & SEEN_MASK

    @property
    def loss(self) -> float:
        """The share of the last datagrams that never arrived."""
        return missing_share(self.arrived, self.newest)
