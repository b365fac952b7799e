"""The command line of `twistd craftnet`, and the configuration file that it names."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, NoReturn

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from craftnet import __version__
from craftnet.errors import ConfigurationError
from craftnet.observe.logs.observer import LOG
from craftnet.providers import registry as backends
from craftnet.server.options.documents import written
from craftnet.server.options.option import Declaration
from craftnet.server.options.resolution import (
    COMMAND_LINE,
    DEFAULT,
    ConfigurationFile,
    Effective,
    name_of_file,
    resolve,
)
from craftnet.server.options.table import GROUPS, OPTIONS
from craftnet.server.settings import Settings, settings_of
from craftnet.streams import registry as streams

SNAPSHOT_VARIABLE = "CRAFTNET_CONFIG_SNAPSHOT"
"""The environment variable with the copy of the file that a worker starts with."""


def read_configuration(name: str, snapshot: str | None = None) -> ConfigurationFile:
    """Reads a configuration file.

    Arguments:
        snapshot: a copy to read instead.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with open(snapshot or name, encoding="utf-8") as file:
            return ConfigurationFile(name, file.read())
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a name with a NUL.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"--config {name} cannot be read: {reason}") from None


def _number(declared: Declaration, text: str) -> float:
    """The value of a number on the command line; raises UsageError, which names the option."""
    try:
        return declared.number(text)
    except ValueError as error:
        raise UsageError(f"--{declared.name} {error}") from None


class Options(UsageOptions):
    """The options of `twistd craftnet`, as `craftnet.server.options` declares them.

    It maps the name of each option that was given to a text, or a number.
    """

    synopsis = "[options]"
    longdesc = (
        "The crafting network service: shows players, over WebSocket and UDP, the progress of their crafts, "
        "their positions in station queues and their material shortages."
    )

    optFlags: ClassVar[list[list[str]]] = [
        [each.name, "", each.option.help] for each in OPTIONS.values() if each.is_flag
    ]
    optParameters: ClassVar[list[list[Any]]] = [
        [each.name, None, None, each.option.help, partial(_number, each) if each.is_number else str]
        for each in OPTIONS.values()
        if not each.is_flag and not each.is_list
    ]  # options that may be repeated have methods, added below.

    given: Sequence[str] = ()

    def getUsage(self, width: int | None = None) -> str:
        """The text of --help: options under their headings, in the order of `GROUPS`."""
        width = width or int(os.environ.get("COLUMNS", "80"))
        lines = ["", *textwrap.wrap(self.longdesc, width)]
        for group in GROUPS:
            lines += ["", f"{group.heading}:"]
            for name in group.names:
                takes_value = f"{name}=" in self.longOpt
                lines.append(f"  --{name}{'=' * takes_value}")
                lines += textwrap.wrap(self.describe(name), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines) + "\n"

    def describe(self, name: str) -> str:
        """What an option means: its text, its default and its range."""
        if name in OPTIONS:
            return OPTIONS[name].described()
        return " ".join(str(self.docs[name]).split()).rstrip(".") + "."

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Keeps them as given, for workers."""
        self.given = options or ()
        self._folder = os.getcwd()
        super().parseOptions(options)

    def opt_help_backends(self) -> NoReturn:
        """List the back ends that are installed, with their arguments, and exit."""
        print(backends.help_text())
        raise SystemExit(0)

    def opt_help_ingest(self) -> NoReturn:
        """List the message buses that are installed, with their arguments, and exit."""
        print(streams.help_text())
        raise SystemExit(0)

    def opt_version(self) -> NoReturn:
        """Print craftnet's version and exit."""
        print(f"craftnet {__version__}")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Configures twistd's log. `makeService` reports invalid combinations."""
        if self.parent is not None:
            with suppress(ConfigurationError):
                effective = self.effective(os.environ)
                LOG.configure(self.parent, effective["log-format"], effective["log-level"], os.environ)

    def parseArgs(self) -> None:
        """There are only options."""

    def effective(self, environ: Mapping[str, str], *, fresh: bool = False) -> Effective:
        """Every option with its value and where that comes from; reads the configuration file.

        Arguments:
            fresh: whether a worker reads the file itself, and not the copy with which it was started.

        Raises:
            ConfigurationError: an option makes no sense, or the file cannot be read.
        """
        given = {name: self.get(name) for name in OPTIONS}
        given |= {name: True if given[name] else None for name, each in OPTIONS.items() if each.is_flag}
        name = name_of_file(given, environ)
        file = None
        if name is not None:  # the folder of the start: twistd may change it later.
            copy = None if fresh else environ.get(SNAPSHOT_VARIABLE)
            file = read_configuration(os.path.join(self._folder, name), copy)
        return resolve(given, environ, file)

    def reread(self) -> Settings:
        """The settings as the file, the environment and the command line say now.

        Raises:
            ConfigurationError: as for `effective`.
        """
        return settings_of(self.effective(os.environ, fresh=True), os.environ)

    @property
    def settings(self) -> Settings:
        """The options as the service takes them.

        Raises:
            ConfigurationError: one of them makes no sense.
        """
        return settings_of(self.effective(os.environ), os.environ)


def _collector(option: Declaration) -> Callable[[Options, str], None]:
    """The method that twistd calls with each value of an option that may be repeated."""

    def collect(self: Options, text: str) -> None:
        self[option.name] = (*(self.get(option.name) or ()), *option.parts(text))

    collect.__doc__ = option.option.help
    return collect


for _each in OPTIONS.values():
    if _each.is_list:
        setattr(Options, f"opt_{_each.name.replace('-', '_')}", _collector(_each))


class WorkerConfiguration:
    """The configuration with which a worker starts.

    What can be reloaded is as in the file that was last read without a mistake, and everything else as at the start of
    the supervisor, so that a worker that is started again agrees with the others.

    Arguments:
        options: of the supervisor.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._values = self._in_file()

    @property
    def text(self) -> str | None:
        """A configuration file; None where there is none."""
        return None if self._values is None else written(self._values)

    def update(self) -> None:
        """Reads the file again.

        Raises:
            ConfigurationError: it is invalid; the text stays as it was.
        """
        now = self._in_file() or {}
        if self._values is not None:
            kept = {name: value for name, value in self._values.items() if not OPTIONS[name].option.reload}
            self._values = kept | {name: value for name, value in now.items() if OPTIONS[name].option.reload}

    def _in_file(self) -> dict[str, Any] | None:
        """The values that come from the file."""
        effective = self._options.effective(os.environ)
        if effective["config"] is None:
            return None
        return {
            name: found.value
            for name, found in effective.options.items()
            if found.origin not in (COMMAND_LINE, DEFAULT, OPTIONS[name].variable)
        }
