"""The options of the group Observation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ObservationOptions:
    """What the service says about itself: metrics, logs, the audit, traces."""
