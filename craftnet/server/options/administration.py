"""The options of the group Administration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdministrationOptions:
    """How operators and game masters control a running service."""
