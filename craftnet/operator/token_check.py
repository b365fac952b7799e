"""`craftnet token check`: why a server with this configuration accepts a token or refuses it."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred

from craftnet.access.auth_option import access_from_option
from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.revocation.revocations import Revocation
from craftnet.access.route_rights import WantedRight, of_player, of_route, of_session, owned_by
from craftnet.client.arguments import TOKEN_VARIABLE
from craftnet.client.cli import run_reactor
from craftnet.client.core.credentials import checked
from craftnet.clocks import IClock
from craftnet.contract.routes import BasePaths
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.operator.configuration import EPILOG, separated, server_options
from craftnet.operator.token_examination import Judgement, TokenExamination, TokenFinding, examine
from craftnet.providers.inspection import IStoredAccess
from craftnet.providers.registry import Registry
from craftnet.server.settings import Settings, settings_of

ACCEPTED, REFUSED, UNKNOWN = 0, 1, 3
"""Exit codes; 2 is wrong usage."""

MAX_TOKEN_FILE = 65_536
"""Bytes of a file that are read; a token has at most 8192."""

_EPILOG = f"""\
The token is never printed.
{EPILOG}

environment:
  {TOKEN_VARIABLE}  the token, where no FILE is given

exit codes:
  0  a server would accept the token, and it allows what was asked for
  1  a server would refuse it: 401, or 403 where a right is missing
  2  wrong usage, or there is no token
  3  unknown: the keys or the revocations cannot be read now

examples:
  craftnet token check token.jwt --config /etc/craftnet/craftnet.toml
  pbpaste | craftnet token check - --auth jwt:jwks=https://login.example/keys.json --route 'POST /events'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments, beside those of the server."""
    parser.description = (
        "Explain why a server with this configuration accepts a token or refuses it: keys, signature,\n"
        "times, audience, issuer, scopes, revocations."
    )
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help=f"file with the token; -: standard input (default: ${TOKEN_VARIABLE})"
    )
    parser.add_argument(
        "--route",
        metavar="REQUEST",
        action="append",
        default=[],
        help="also check the right to a request, such as 'POST /events' or /ws/queue/UUID; may be repeated",
    )
    parser.add_argument(
        "--session", metavar="UUID", type=UUID, help="also check the right to watch this session; its owner is read "
        "from Redis, where --backend names one, or is --player",
    )  # fmt: skip
    parser.add_argument("--player", metavar="UUID", type=UUID, help="also check the right to watch this player")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def token_check(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`craftnet token check [FILE] [options of the server]`."""
    parser = argparse.ArgumentParser(prog="craftnet token check", allow_abbrev=False)
    add_arguments(parser)
    own, servers = separated(arguments)
    options = parser.parse_args(own)
    settings = settings_of(server_options(servers).effective(environ), environ)
    token = _token(options.file, environ)
    _check_checkable(settings, environ)
    found: list[TokenExamination] = []

    async def begin(reactor: IClock) -> int:
        found.append(await examined(reactor, token, options, settings, environ))
        return 0

    code = run_reactor(lambda reactor: Deferred.fromCoroutine(begin(reactor)))
    if not found:
        return code  # it was interrupted.
    [examination] = found
    print(json.dumps(msgspec.to_builtins(examination), indent=2) if options.json else report(examination))
    return {200: ACCEPTED, 503: UNKNOWN}.get(examination.status, REFUSED)


def _token(file: str | None, environ: Mapping[str, str]) -> str:
    """The token.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        if file is None:
            text = environ.get(TOKEN_VARIABLE, "")
            if not text:
                raise ConfigurationError(f"name a file, - for standard input, or set {TOKEN_VARIABLE}")
        elif file == "-":
            text = sys.stdin.read(MAX_TOKEN_FILE)
        else:
            with Path(file).open("rb") as opened:
                text = opened.read(MAX_TOKEN_FILE).decode("ascii")
        return checked(text)
    except OSError as error:
        raise ConfigurationError(f"no token in {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"no token in {file}: it is not ASCII text, as a token is") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"no token: {error}") from None


def _check_checkable(settings: Settings, environ: Mapping[str, str]) -> None:
    if settings.auth is None and not environ.get(SECRET_VARIABLE):
        raise ConfigurationError(
            f"this configuration has neither --auth nor {SECRET_VARIABLE}: a server with it makes a secret at its "
            "start, which no other process has"
        )


async def examined(
    reactor: Any, token: str, options: argparse.Namespace, settings: Settings, environ: Mapping[str, str]
) -> TokenExamination:
    """Examines a token with everything that the configuration leads to.

    Arguments:
        options: those of the command itself.

    Raises:
        ConfigurationError: an option is invalid, or there is no such session.
    """
    access = access_from_option(settings.auth, environ, reactor)
    bases = BasePaths(settings.prefixes)
    asked = [(text, of_route(text, bases)) for text in options.route]
    wanted = [right for _, right in asked if right is not None]
    if options.player is not None:
        wanted.append(of_player(options.player))
    if options.session is not None:
        wanted.append(of_session(options.session))
    revoked, owners = await _stored(reactor, settings, [each for each in wanted if each.check is None])
    if options.player is not None and options.session is not None:
        owners.setdefault(options.session, options.player)
    known = [owned_by(right, owners[right.session_id]) if right.session_id in owners else right for right in wanted]
    examination = await examine(token, access, reactor.wall(), known, revoked)
    examination.findings.extend(
        TokenFinding("right", Judgement.NOTE, f"{text} needs no token, or there is no such route")
        for text, right in asked
        if right is None
    )
    return examination


async def _stored(
    reactor: Any, settings: Settings, rights: Sequence[WantedRight]
) -> tuple[Sequence[Revocation] | str, dict[UUID, UUID]]:
    """What a back end that outlives servers knows: the revocations, or why they are not known, and sessions' owners."""
    registry = Registry(reactor)
    backend = registry.backend(settings.backend)
    name = settings.backend.partition(":")[0]
    if not IStoredAccess.providedBy(backend):
        return f"not known here: the back end {name} keeps revocations in the server's memory", {}
    sessions: Any = registry.backend(settings.sessions or settings.backend)
    owners: dict[UUID, UUID] = {}
    used = {id(each): each for each in (backend, sessions) if IStoredAccess.providedBy(each)}.values()
    for each in used:
        each.connection.startService()
    try:
        revoked: Sequence[Revocation] | str = await backend.stored_revocations()
        for right in rights if IStoredAccess.providedBy(sessions) else ():
            if right.session_id is not None:
                owner = await sessions.stored_owner(right.session_id)
                if owner is None:
                    raise ConfigurationError(f"there is no session {right.session_id}")
                owners[right.session_id] = owner
    except Unavailable as error:
        revoked = f"not known now: {error.message}"
    finally:
        for each in used:
            await maybeDeferred(each.connection.stopService)
    return revoked, owners


def report(examination: TokenExamination) -> str:
    """The result for people."""
    lines = []
    for each in examination.findings:
        words = textwrap.wrap(f"{each.aspect}: {each.text}", 91, break_long_words=False, break_on_hyphens=False)
        lines += [f"{each.judgement.value:<8} {words[0]}", *(" " * 9 + line for line in words[1:])]
        if each.remedy:
            lines += textwrap.wrap(each.remedy, 100, initial_indent=" " * 9, subsequent_indent=" " * 9)
    match examination.status:
        case 200:
            lines.append("accepted")
        case 503:
            lines.append("unknown now: 503" + (f" {examination.answer}" if examination.answer else ""))
        case status:
            lines.append(f"refused: {status} {examination.answer}")
    return "\n".join(lines)
