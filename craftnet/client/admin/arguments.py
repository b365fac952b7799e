"""The command lines of administrators' commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from uuid import UUID

from craftnet.client.core.durations import duration

EPILOG = """\
environment:
  CRAFTNET_TOKEN  the bearer token. Better than --token: what is on a command line, others on this
                  machine can read.

exit codes:
  0    done
  1    the server refused us, or could not be reached
  2    wrong usage
  3    events were rejected
  130  interrupted (Ctrl-C)
"""

COMMANDS = ("top", "sessions", "trace", "events")
"""The commands that `craftnet.client.admin.commands` runs."""


def add_commands(commands: Any, add_server: Callable[[argparse.ArgumentParser], None]) -> None:
    """Adds the commands; `add_server` adds the options that name the server and the token."""

    def command(name: str, summary: str, description: str, of: Any = commands) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = of.add_parser(
            name,
            help=summary,
            description=description,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_server(added)
        added.add_argument("--json", action="store_true", help="print lines of JSON, as the admin API has them")
        added.add_argument(
            "--patience",
            metavar="DURATION",
            type=duration,
            default="60s",
            help="give up after the server was unreachable for this long; 0: at once (default: %(default)s)",
        )
        return added

    top = command("top", "show the activity of a server, live", "Show connections, rates, latencies and nodes, live.")
    top.add_argument("--once", action="store_true", help="show it once and exit")
    sessions = command(
        "sessions",
        "list or search sessions",
        "List sessions, newest first if the back end supports it, or search them.",
    )
    sessions.add_argument(
        "search", metavar="UUID", nargs="?", help="a session, player or recipe, or the first 4 or more digits of one"
    )
    sessions.add_argument(
        "--limit", metavar="N", type=_positive, default=50, help="maximum number of sessions (default: %(default)s)"
    )
    trace = command(
        "trace",
        "show everything about a session, live",
        "Show each event that arrives for a session, and each frame and datagram that is sent to its watchers, on "
        "all nodes, decoded.",
    )
    trace.add_argument("session", metavar="SESSION", type=UUID, help="the session's UUID")
    events = commands.add_parser("events", help="follow or publish the authority's events")
    kinds = events.add_subparsers(dest="events_command", required=True, metavar="COMMAND")
    command("tail", "show events as they arrive", "Show the authority's events as they arrive, on all nodes.", kinds)
    publish = command(
        "publish",
        "post events from a file",
        "Post events to the server: one event, an array, or one event per line.",
        kinds,
    )
    publish.add_argument("file", metavar="FILE", help="the file; -: standard input")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number
