"""The result of reading a server's configuration and files again."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class ReloadResult(Struct, frozen=True):
    """What became of a reload, by the names of options; `certificate` and `keys` stand for the files with them.

    Attributes:
        changed: new values that are in effect.
        unchangeable: new values that need a restart; the old ones stay in effect.
        failed: invalid values, each with the reason; the old ones stay in effect. `config` is the file itself.
    """

    changed: tuple[str, ...] = ()
    unchangeable: tuple[str, ...] = ()
    failed: Mapping[str, str] = {}
