"""Takes new values of options over while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

from msgspec import Struct
from twisted.logger import Logger, LogLevel

from craftnet.errors import ConfigurationError
from craftnet.runtime.masking import masked_error
from craftnet.server.options.table import OPTIONS
from craftnet.server.settings import Settings

Apply = Callable[[Settings], object]
"""Puts new values into effect. Raises ConfigurationError, having changed nothing, when they are invalid."""


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

    @property
    def lines(self) -> Iterator[tuple[LogLevel, str]]:
        """The same for people: each line with its level in the log."""
        yield LogLevel.info, f"Reloaded; changed: {', '.join(self.changed) or 'nothing'}"
        if self.unchangeable:
            yield LogLevel.warn, f"A restart is needed for: {', '.join(self.unchangeable)}"
        for name, reason in self.failed.items():
            yield LogLevel.error, f"{name} stays as it was: {reason}"


class Reloader:
    """Knows how to put each option into effect that can change.

    Arguments:
        settings: what the server runs with.
        reread: returns what the file, the environment and the command line say now. Raises ConfigurationError.

    Attributes:
        reloaded: called with the result of each reload and its actor.
    """

    _log = Logger()

    def __init__(self, settings: Settings, reread: Callable[[], Settings]) -> None:
        self._reread = reread
        self._current = {name: _value(settings, name) for name in OPTIONS}
        self._appliers: dict[str, Apply] = {}
        self._files: dict[str, Callable[[], bool]] = {}
        self.reloaded: Callable[[ReloadResult, str], object] = lambda _, __: None

    @property
    def reloadable(self) -> frozenset[str]:
        """The names of the options that can change."""
        return frozenset(self._appliers)

    def current(self, name: str) -> Any:
        """The value of an option that is in effect."""
        return self._current[name]

    def on(self, apply: Apply, *names: str) -> None:
        """Calls `apply` when one of these options has another value."""
        self._appliers.update(dict.fromkeys(names, apply))

    def on_files(self, name: str, read: Callable[[], bool]) -> None:
        """Calls `read` at every reload: it reads files again, and returns whether something has changed.

        Arguments:
            name: of the files, in the result.
            read: raises ConfigurationError when a file is unusable, and then keeps what it read before.
        """
        self._files[name] = read

    def reload(self, actor: str) -> ReloadResult:
        """Reads everything again and puts it into effect as far as possible; logs what it did.

        Arguments:
            actor: who or what asks for it, for the audit log.
        """
        changed: list[str] = []
        unchangeable: list[str] = []
        failed: dict[str, str] = {}
        try:
            self._apply(self._reread(), changed, unchangeable, failed)
        except ConfigurationError as error:
            failed["config"] = masked_error(str(error))
        for name, read in self._files.items():
            try:
                if read():
                    changed.append(name)
            except ConfigurationError as error:
                failed[name] = masked_error(str(error))
        result = ReloadResult(tuple(changed), tuple(unchangeable), failed)
        for level, line in result.lines:
            self._log.emit(level, "{line}", line=line)
        self.reloaded(result, actor)
        return result

    def _apply(self, new: Settings, changed: list[str], unchangeable: list[str], failed: dict[str, str]) -> None:
        wanted: dict[Apply, list[str]] = {}
        for name in OPTIONS:
            if _value(new, name) == self._current[name]:
                continue
            if name in self._appliers:
                wanted.setdefault(self._appliers[name], []).append(name)
            else:
                unchangeable.append(name)
        for apply, names in wanted.items():
            try:
                apply(new)
            except ConfigurationError as error:
                failed.update(dict.fromkeys(names, masked_error(str(error))))
            else:
                changed += names
                self._current.update({name: _value(new, name) for name in names})


def _value(settings: Settings, name: str) -> Any:
    return reduce(getattr, OPTIONS[name].path, settings)
