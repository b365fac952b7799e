"""Reasons for an end, as numbers."""

from __future__ import annotations

from craftnet.errors import BadDatagram
from craftnet.protocols.records import CloseReason

_TRAVELLING = {int(reason): reason for reason in CloseReason if reason < CloseReason.SILENT}


def travelling(number: int) -> CloseReason:
    """The reason of this number; those that are local are refused."""
    reason = _TRAVELLING.get(number)
    if reason is None:
        raise BadDatagram("out_of_range", f"no reason has the number {number}")
    return reason
