"""Resolves the value of every option from the command line, the environment, a file, or its default. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from craftnet.errors import ConfigurationError
from craftnet.server.options.option import VARIABLE_PREFIX, Declaration
from craftnet.server.options.table import OPTIONS

COMMAND_LINE, DEFAULT = "the command line", "default"

OTHER_VARIABLES = {
    *("CRAFTNET_JWT_SECRET", "CRAFTNET_REDIS_PASSWORD", "CRAFTNET_SENTINEL_PASSWORD", "CRAFTNET_TOKEN"),
    *("CRAFTNET_UPSTREAM_TOKEN", "CRAFTNET_KAFKA_PASSWORD", "CRAFTNET_NATS_PASSWORD", "CRAFTNET_NATS_TOKEN"),
    *("CRAFTNET_KEYLOG", "CRAFTNET_WORKER", "CRAFTNET_SUPERVISOR", "CRAFTNET_LIVENESS", "CRAFTNET_LINKS"),
    *("CRAFTNET_FIGURES", "CRAFTNET_CONFIG_SNAPSHOT", "CRAFTNET_CLUSTER_KEY"),
}
"""Environment variables that are not options: secrets, and those that a supervisor sets for its workers."""

SERVICE_LINK = re.compile(r".*_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP).*)?)")
"""The variables that Kubernetes sets for each of its services, which may be called craftnet."""


class OptionValue(Struct, frozen=True):
    """The value of an option, and its origin."""

    value: Any
    origin: str


class ConfigurationFile(Struct, frozen=True):
    """The content of a configuration file.

    Attributes:
        path: its name, for people.
    """

    path: str
    text: str


class Effective(Struct, frozen=True):
    """All options with their values.

    Attributes:
        options: by name.
        warnings: probable mistakes, which have no effect.
    """

    options: Mapping[str, OptionValue]
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.options[name].value


def resolve(given: Mapping[str, Any], environ: Mapping[str, str], file: ConfigurationFile | None = None) -> Effective:
    """The value of every option. The command line takes precedence, then the environment, the file, and the default.

    Arguments:
        given: the values from the command line by option name, as texts or numbers; None if an option is not given.

    Raises:
        ConfigurationError: values are invalid, or the file has unknown keys; the text names all of them.
    """
    problems: list[str] = []
    in_file = {} if file is None else _read_file(file, problems)
    options = {
        name: _first(declared, given.get(name), environ.get(declared.variable), in_file.get(name), problems)
        for name, declared in OPTIONS.items()
    }
    if problems:
        raise ConfigurationError("\n".join(problems))
    return Effective(options, tuple(_unknown_variables(environ)))


def name_of_file(given: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """The file that --config or its environment variable names."""
    return given.get("config") or environ.get(OPTIONS["config"].variable) or None


def closest(name: str) -> Declaration | None:
    """The option that was probably meant."""
    meant = get_close_matches(name.lower().replace("_", "-"), OPTIONS, n=1)
    return OPTIONS[meant[0]] if meant else None


def _first(
    declared: Declaration, given: Any, variable: str | None, in_file: OptionValue | None, problems: list[str]
) -> OptionValue:
    """The value of one option; appends a text to `problems` if it is invalid."""
    for text, origin, words in (
        (given, COMMAND_LINE, f"--{declared.name}"),
        (variable or None, declared.variable, declared.variable),  # an empty variable counts as unset.
    ):
        if text is None:
            continue
        try:
            return OptionValue(declared.parse(text) if isinstance(text, str) else text, origin)
        except ValueError as error:
            problems.append(f"{words}: {error}")
    return in_file or OptionValue(declared.default, DEFAULT)


def _read_file(file: ConfigurationFile, problems: list[str]) -> Mapping[str, OptionValue]:
    try:
        content = tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{file.path} is not TOML: {error}")
        return {}
    found: dict[str, OptionValue] = {}
    for key, value in content.items():
        place = f"{file.path}{_line(file.text, key)}"
        declared = OPTIONS.get(key)
        if declared is None:
            meant = closest(key)
            hint = "; options stand outside of tables" if isinstance(value, dict) else ""
            hint = f": did you mean {meant.name}?" if meant and not hint else hint
            problems.append(f"{place}: there is no option {key}{hint}")
        elif not declared.option.in_file:
            problems.append(f"{place}: {key} can be given on the command line and in {declared.variable} only")
        elif value != "":  # an empty text counts as not given.
            try:
                found[key] = OptionValue(declared.of_toml(value), file.path)
            except ValueError as error:
                problems.append(f"{place}: {key} {error}")
    return found


def _line(text: str, key: str) -> str:
    """`, line 3` for a key at the start of a line; empty for other spellings of a key."""
    at = re.search(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", text, re.MULTILINE)
    at = at or re.search(rf"^[ \t]*\[\[?[ \t]*{re.escape(key)}\b", text, re.MULTILINE)
    return "" if at is None else f", line {text.count(chr(10), 0, at.start()) + 1}"


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yields a warning for each variable that looks like an option and is not one."""
    known = OTHER_VARIABLES | {declared.variable for declared in OPTIONS.values()}
    for variable in sorted(environ):
        if variable.startswith(VARIABLE_PREFIX) and variable not in known and not SERVICE_LINK.fullmatch(variable):
            meant = closest(variable.removeprefix(VARIABLE_PREFIX))
            hint = "" if meant is None else f": did you mean {meant.variable}?"
            yield f"the environment variable {variable} has no effect{hint}"
