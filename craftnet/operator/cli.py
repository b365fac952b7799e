"""The `craftnet` command: the commands of operators, and those of `craftnet.client.cli`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from twisted.python.usage import UsageError

from craftnet.client import cli
from craftnet.errors import ConfigurationError

COMMANDS = {
    "check-config": ("craftnet.operator.configuration.check_config", "check a configuration without starting a server"),
    "config": ("craftnet.operator.configuration.config", "show the effective configuration, the defaults or a schema"),
    "doctor": ("craftnet.operator.doctor.doctor", "check whether the system allows what the options promise"),
}
"""By the name of a command: its function, which is imported when it is called, and what it does.

A function takes the arguments after the name, and the environment; it prints, and returns the exit code.
"""


def main() -> int:
    """Runs the `craftnet` command and returns its exit code."""
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code; 2 for wrong usage."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name not in COMMANDS:
        return cli.main({name: text for name, (_, text) in COMMANDS.items()})
    module, _, function = COMMANDS[name][0].rpartition(".")
    try:
        return int(getattr(import_module(module), function)(rest, os.environ))
    except (ConfigurationError, UsageError) as error:
        print(f"craftnet {name}: {error}", file=sys.stderr)
        return cli.USAGE


if __name__ == "__main__":
    sys.exit(main())
