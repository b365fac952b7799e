"""`craftnet check-config` and `craftnet config`: check and show a server's configuration without starting it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.runtime.masking import masked_error
from craftnet.server.command_line import Options
from craftnet.server.options.documents import default_file, schema_text, shown
from craftnet.server.options.resolution import Effective
from craftnet.server.options.table import OPTIONS
from craftnet.server.settings import settings_of

EPILOG = "Further options are those of `twistd craftnet`; CRAFTNET_… variables count as they do for the server."
"""The end of the help of every command that takes the server's options."""


def separated(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of a command itself, and those that are options of the server, with their values."""
    own, servers = list[str](), list[str]()
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name, given, _ = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in OPTIONS:
            own.append(word)
            continue
        servers.append(word)
        if not given and not OPTIONS[name].is_flag and waiting:
            servers.append(waiting.pop(0))
    return own, servers


def server_options(arguments: Sequence[str]) -> Options:
    """The options of a server.

    Raises:
        UsageError: they are malformed.
    """
    options = Options()
    options.parseOptions(arguments)
    return options


def add_check_config(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet check-config`, beside those of the server."""
    parser.description = (
        "Check a configuration: its file, the environment and the options. Opens no port and contacts no other machine."
    )
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", nargs="?", help="the TOML file; as --config FILE")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `craftnet config`, beside those of the server."""
    parser.description, parser.epilog = "Print a configuration.", EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--show", action="store_true", help="the effective values, and where each comes from")
    what.add_argument("--defaults", action="store_true", help="a commented TOML file with all defaults")
    what.add_argument("--schema", action="store_true", help="a JSON Schema of the file, for editors")


def check_config(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`craftnet check-config [FILE] [options of the server]`: 0 when a server would start with it, else 1."""
    parser = argparse.ArgumentParser(prog="craftnet check-config", allow_abbrev=False)
    add_check_config(parser)
    own, servers = separated(arguments)
    known, rest = parser.parse_known_args(own)
    options = server_options([*servers, *rest, *([] if known.file is None else ["--config", known.file])])
    try:
        effective = options.effective(environ)
        _build(effective, environ)
    except ConfigurationError as error:
        print(masked_error(str(error)), file=sys.stderr)
        return 1
    for warning in effective.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print("the configuration is valid")
    return 0


def _build(effective: Effective, environ: Mapping[str, str]) -> None:
    """Builds the service, which finds mistakes that no single value shows."""
    from twisted.internet import reactor  # importing it installs a reactor, so import it late.

    from craftnet.server.build import build

    build(settings_of(effective, environ), steady(reactor), environ)


def config(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`craftnet config --show | --defaults | --schema [options of the server]`."""
    parser = argparse.ArgumentParser(prog="craftnet config", allow_abbrev=False)
    add_config(parser)
    own, servers = separated(arguments)
    known, rest = parser.parse_known_args(own)
    options = server_options([*servers, *rest])
    if known.defaults:
        print(default_file(), end="")
    elif known.schema:
        print(schema_text(), end="")
    else:
        effective = options.effective(environ)
        for warning in effective.warnings:
            print(f"# warning: {warning}")
        print(shown(effective), end="")
    return 0
