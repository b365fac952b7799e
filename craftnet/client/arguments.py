"""The command line of `craftnet`: its commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet import __version__
from craftnet.access import development
from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client.admin import arguments as admin_arguments
from craftnet.client.completion import SHELLS
from craftnet.client.core.api_requests import KEY_EXCHANGES
from craftnet.client.core.durations import duration
from craftnet.client.load import command as load_command
from craftnet.contract.devices import device_name
from craftnet.errors import BadRequest
from craftnet.observe.audit import command as audit_command

TOKEN_VARIABLE = "CRAFTNET_TOKEN"
"""The environment variable with the bearer token."""

_WATCH_EPILOG = f"""\
environment:
  {TOKEN_VARIABLE}  the bearer token. Prefer it to --token: other users of this machine can read
                  its command lines.

exit codes:
  0    the crafts were completed, or the server ended the feeds in order
  1    the server refused the client, or could not be reached
  2    invalid usage
  3    a craft failed or was cancelled
  130  interrupted (Ctrl-C)
"""

_TOKEN_EPILOG = f"""\
environment:
  {development.SECRET_VARIABLE}  the secret that the server was started with; for development only.

example:
  export {development.SECRET_VARIABLE}=$(openssl rand -hex 32)
  export {TOKEN_VARIABLE}=$(craftnet token --player 11111111-1111-4111-8111-111111111111 --ttl 8h)
"""


_COMPLETION_EPILOG = """\
where to put it:
  bash  craftnet completion bash >> ~/.bashrc
  zsh   craftnet completion zsh >> ~/.zshrc
  fish  craftnet completion fish > ~/.config/fish/completions/craftnet.fish
"""


class OtherCommand(Struct, frozen=True):
    """A command that parses its arguments itself.

    Attributes:
        text: what it does.
        add: adds its arguments to a parser, for completion; None: its arguments are not needed.
    """

    text: str
    add: Callable[[argparse.ArgumentParser], None] | None = None


def parser(others: Mapping[str, OtherCommand] = MappingProxyType({})) -> argparse.ArgumentParser:
    """The parser of the command line.

    Arguments:
        others: further commands, by their names; a name of two words is below the command of the first, which is
            before it.
    """
    command = argparse.ArgumentParser(
        prog="craftnet", description="Client of the crafting network service, and tools for its operators."
    )
    command.add_argument("--version", action="version", version=f"craftnet {__version__}")
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_watch(commands)
    groups = {"": commands, "token": _add_token(commands)}
    _add_load(commands)
    _add_audit(commands)
    admin_arguments.add_commands(commands, _add_server)
    _add_completion(commands)
    parsers = commands.choices
    for name, other in others.items():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            groups[group] = parsers[group].add_subparsers(metavar="COMMAND")
        added = groups[group].add_parser(last, help=other.text)
        if other.add is not None:
            other.add(added)
    return command


def _add_watch(commands: Any) -> None:  # argparse has no public name for what add_subparsers makes.
    watch = commands.add_parser(
        "watch",
        help="watch crafting sessions live",
        description="Watch crafting sessions live until they end. Without a SESSION, watch the player's crafts "
        "one after another until interrupted (needs a server with --backend workshop). Reconnects automatically.",
        epilog=_WATCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    watch.add_argument(
        "sessions", metavar="SESSION", nargs="*", type=UUID, help="the session's UUID; several share a UDP connection"
    )
    _add_server(watch)
    watch.add_argument("--player", metavar="UUID", type=UUID, required=True, help="the player who owns the sessions")
    watch.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the bearer token, read again before the token expires, so that the watch can outlive it",
    )
    watch.add_argument(
        "--transport",
        choices=["auto", "udp", "ws"],
        default="auto",
        help="auto: UDP, falling back to WebSocket when no datagram arrives (default: %(default)s)",
    )
    watch.add_argument(
        "--region",
        metavar="NAME",
        help="over UDP, prefer a server in this region, such as us-east (default: the server that answers over HTTP)",
    )
    watch.add_argument(
        "--udp-key-exchange",
        choices=KEY_EXCHANGES,
        help="use UDP only with an exchange of keys, which a server with the option of the same name takes part in: "
        "what is recorded now stays secret even if HTTP is decrypted later",
    )
    watch.add_argument(
        "--json", action="store_true", help='print each message as a line of JSON with an additional field "transport"'
    )
    watch.add_argument(
        "--device",
        metavar="NAME",
        type=_device,
        help="also register as this device of the player, such as terminal, on a server with --devices: shows the "
        "player's other devices, and what they have seen and dismissed. It needs the player's own token",
    )
    watch.add_argument(
        "--figures",
        action="store_true",
        help="over UDP, also print lines about the connection: round trip, jitter, loss and the possible error of the "
        'progress; with --json, of type "line" (a live display always shows them)',
    )
    watch.add_argument(
        "--patience",
        metavar="DURATION",
        type=duration,
        default="60s",
        help="give up after the server was unreachable for this long; 0: at once (default: %(default)s)",
    )


def _device(text: str) -> str:
    """The name of a device; refused as argparse wants it."""
    try:
        return device_name(text)
    except BadRequest as refusal:
        raise argparse.ArgumentTypeError(refusal.message) from None


def _add_token(commands: Any) -> Any:
    """Adds the command; returns what adds commands below it."""
    token = commands.add_parser(
        "token",
        help="issue a token for development, or check one",
        description="Print a bearer token that a server with the same secret accepts, for development only; or, with "
        "check, explain why a server refuses one.",
        epilog=_TOKEN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    token.add_argument(
        "--player", metavar="UUID", type=UUID, help="the player whom the token authorises; none: a service"
    )
    token.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        default=[],
        help=f"additional scope of the token, such as {PUBLISH} or {ADMIN}; may be repeated",
    )
    token.add_argument(
        "--ttl",
        metavar="DURATION",
        type=duration,
        default="8h",
        help="lifetime of the token: 90, 90s, 15m, 8h, 2d (default: %(default)s)",
    )
    return token.add_subparsers(dest="token_command", metavar="COMMAND")


def _add_load(commands: Any) -> None:
    load = commands.add_parser(
        "load",
        help="load a server and check the promises of the service",
        description="Load a server with watchers and updates and check the promises of the service: latency, traffic, "
        "memory. Meant for a server on this machine; bounded in time.",
        epilog=load_command.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server(load)
    load_command.add_options(load)


def _add_audit(commands: Any) -> None:
    audit = commands.add_parser(
        "audit",
        help="verify and read audit logs",
        description="Verify and read the audit logs of a server (--audit).",
        epilog=audit_command.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit_command.add_options(audit)


def _add_completion(commands: Any) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        description="Print a script for a shell, which then completes craftnet's commands and options.",
        epilog=_COMPLETION_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell")


def _add_server(command: argparse.ArgumentParser) -> None:
    """Adds the options that name the server and the token."""
    command.add_argument(
        "--url",
        default="http://127.0.0.1:8080",
        help="base URL of the service, http(s) or ws(s), with or without a path such as /v1/crafting-network"
        " (default: %(default)s)",
    )
    command.add_argument("--token", metavar="JWT", help=f"the bearer token; prefer {TOKEN_VARIABLE}, see below")
