"""The `craftnet` command: the commands of operators, and those of `craftnet.client.cli`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from msgspec import Struct
from twisted.python.usage import UsageError

from craftnet.client import cli
from craftnet.client.arguments import OtherCommand
from craftnet.errors import ConfigurationError
from craftnet.runtime.masking import masked_error


class OperatorCommand(Struct, frozen=True):
    """A command of operators. Its module is imported when it is called.

    Attributes:
        text: what it does.
        module: its module.
        run: the function that takes the arguments after the name, and the environment; it prints, and returns the exit
            code.
        add: the function that adds its arguments to a parser.
        takes_options: whether it takes the options of a server, too.
    """

    text: str
    module: str
    run: str
    add: str
    takes_options: bool = True


COMMANDS = {
    "analyse": OperatorCommand(
        "answer questions about recorded histories of sessions, for designers of the game",
        "craftnet.operator.analysis.command",
        "analyse",
        "add_analyse",
        takes_options=False,
    ),
    "analyse compact": OperatorCommand(
        "join the files of the finished days of a recording",
        "craftnet.operator.analysis.compaction",
        "compact_recording",
        "add_compact",
        takes_options=False,
    ),
    "analyse erase": OperatorCommand(
        "make what is recorded about a player unattributable",
        "craftnet.operator.analysis.erasure",
        "erase",
        "add_erase",
        takes_options=False,
    ),
    "check-config": OperatorCommand(
        "check a configuration without starting a server",
        "craftnet.operator.configuration",
        "check_config",
        "add_check_config",
    ),
    "config": OperatorCommand(
        "show the effective configuration, the defaults or a schema",
        "craftnet.operator.configuration",
        "config",
        "add_config",
    ),
    "dictionary": OperatorCommand(
        "train a dictionary for the compressed subprotocol, on real traffic",
        "craftnet.operator.dictionary.command",
        "dictionary",
        "add_dictionary",
        takes_options=False,
    ),
    "doctor": OperatorCommand(
        "check whether the system's limits suffice for the options", "craftnet.operator.doctor", "doctor", "add_doctor"
    ),
    "token check": OperatorCommand(
        "explain why a server refuses a token", "craftnet.operator.token_check", "token_check", "add_arguments"
    ),
}
"""By the name of a command."""


def main() -> int:
    """Runs the `craftnet` command and returns its exit code."""
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code; 2 for wrong usage."""
    words = next((words for words in (2, 1) if " ".join(arguments[:words]) in COMMANDS), 0)
    if not words:
        completing = arguments[:1] == ["completion"]
        return cli.main({name: _other(command, completing) for name, command in COMMANDS.items()})
    name, rest = " ".join(arguments[:words]), arguments[words:]
    command = COMMANDS[name]
    try:
        code = int(getattr(import_module(command.module), command.run)(rest, os.environ))
        sys.stdout.flush()  # here, where a reader that is gone is no fault.
        return code
    except (ConfigurationError, UsageError) as error:
        print(f"craftnet {name}: {masked_error(str(error))}", file=sys.stderr)
        return cli.USAGE
    except BrokenPipeError:
        return cli.reader_gone()


def _other(command: OperatorCommand, completing: bool) -> OtherCommand:
    """The command as the client's parser lists it; with its arguments, and the server's, where a shell completes it."""

    def add(parser: argparse.ArgumentParser) -> None:
        from craftnet.server.options.table import OPTIONS  # not above: it takes long, and only completion needs it.

        getattr(import_module(command.module), command.add)(parser)
        for name, each in OPTIONS.items() if command.takes_options else ():
            parser.add_argument(f"--{name}", help=each.option.help, choices=each.option.choices or None)

    return OtherCommand(command.text, add if completing else None)


if __name__ == "__main__":
    sys.exit(main())
