"""Reasons for an end, as numbers."""

from __future__ import annotations

from craftnet.protocols.conversions import Conversion
from craftnet.protocols.records import CloseReason

REASON = Conversion(
    means="{} in TRAVELLING",
    value="TRAVELLING[{}]",
    fault="no reason that travels",
    names={"TRAVELLING": {int(reason): reason for reason in CloseReason if reason < CloseReason.SILENT}},
)
"""Local reasons are refused."""
