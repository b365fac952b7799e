"""Counts which Python functions are called: how much work something is, without a clock."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls made in this thread while the context is open, by module and qualified name.

    The collector is off meanwhile: libraries register callbacks that would count when it happens to run.
    """
    calls: Counter[str] = Counter()

    def profile(frame: FrameType, what: str, _: object) -> None:
        if what == "call":
            calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
