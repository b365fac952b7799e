"""Python's collector of reference cycles, set for a server that keeps much and makes few cycles.

By default it looks at what is new after every 700 allocations, and now and then at everything; nothing else happens
meanwhile. An update that is delivered makes a few objects, none in cycles: they go when nobody refers to them.
"""

from __future__ import annotations

import gc

THRESHOLDS = (20_000, 20, 50)
"""As in `gc.set_threshold`: allocations before the youngest are looked at, and how often that before the older ones."""


def collect_seldom() -> None:
    """Set it, for the whole process."""
    gc.set_threshold(*THRESHOLDS)
