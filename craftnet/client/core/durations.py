"""Durations as people write them. Pure."""

from __future__ import annotations

import argparse
import re

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", re.ASCII)


def seconds(text: str) -> float:
    """The seconds in ``90``, ``90s``, ``15m``, ``8h`` or ``2d``.

    Raises:
        ValueError: the text has another form.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("write a duration as 90, 90s, 15m, 8h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def duration(text: str) -> float:
    """The duration of an option, in seconds. argparse shows this function's name in its messages."""
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
