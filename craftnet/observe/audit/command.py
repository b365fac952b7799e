"""`craftnet audit`: verifies audit logs, shows entries, creates keys, and erases players."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TextIO
from uuid import UUID

from craftnet.errors import ConfigurationError
from craftnet.observe.audit.entries import LogEntry, parse
from craftnet.observe.audit.keys import SECRET_VARIABLE, audit_key, create_key, key_from_file
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.observe.audit.verification import ChainHead, Verifier, heads_in

INTACT, TAMPERED = 0, 1
"""Exit codes of `craftnet audit verify`."""

PLAYERS_SUFFIX = ".players"
"""Suffix that turns the name of the log into the default name of the file of the players' keys."""

EPILOG = f"""\
environment:
  {SECRET_VARIABLE}  the key of the log, hexadecimal; used without --key.

exit codes of verify:
  0  every entry is as it was written, and none is missing
  1  an entry was changed, inserted, repeated, or is missing; each line of the output says which one
  2  wrong usage, or a file cannot be read

examples:
  craftnet audit create-key /etc/craftnet/audit.key
  craftnet audit verify --key /etc/craftnet/audit.key --heads craftnet.log audit*.jsonl
  craftnet audit show --event 'access.*' --since 2026-01-15T10:00:00Z audit.jsonl
"""


def add_options(command: argparse.ArgumentParser) -> None:
    """Adds the commands of `craftnet audit`."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser("verify", help="check that no entry was changed, inserted or removed")
    verify.add_argument("files", metavar="FILE", nargs="+", help="the log's files, in any order")
    verify.add_argument(
        "--key", metavar="FILE", action="append", default=[], help="file with the key; repeat it after a change of key"
    )
    verify.add_argument(
        "--heads",
        metavar="LOG",
        action="append",
        default=[],
        help="the service's log, whose published heads show whether the end of a chain was cut off; may be repeated",
    )
    show = actions.add_parser("show", help="show entries, without verifying them")
    show.add_argument("files", metavar="FILE", nargs="+", help="the log's files, in any order")
    show.add_argument("--player", metavar="UUID", type=UUID, help="only entries about this player")
    _add_players(show)
    show.add_argument(
        "--event",
        metavar="NAME",
        action="append",
        default=[],
        help="only these events, such as admin.action or 'udp.*'",
    )
    show.add_argument("--since", metavar="TIME", type=_time, help="only entries from then on: 2026-01-15T10:00:00Z")
    show.add_argument("--until", metavar="TIME", type=_time, help="only entries before then")
    show.add_argument("--json", action="store_true", help="print each entry as a line of JSON")
    erase = actions.add_parser(
        "erase", help="destroy a player's key, so that entries can no longer be attributed to the player"
    )
    erase.add_argument("--player", metavar="UUID", type=UUID, required=True, help="the player")
    _add_players(erase)
    erase.add_argument("files", metavar="FILE", nargs="*", help="the log, for the default of --players")
    created = actions.add_parser("create-key", help="write a new key to a new file that only its owner may read")
    created.add_argument("file", metavar="FILE", help="the file, which must not exist")


def _add_players(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--players", metavar="FILE", help=f"file with the players' keys (default: the first FILE and {PLAYERS_SUFFIX})"
    )


def run(options: argparse.Namespace, environ: Mapping[str, str], out: TextIO) -> int:
    """Runs one of the commands; returns its exit code.

    Raises:
        ConfigurationError: a file cannot be read, or an option is invalid.
    """
    match options.action:
        case "verify":
            return verify(options.files, options.key, options.heads, environ, out)
        case "show":
            return show(options, out)
        case "erase":
            return erase(options, out)
        case _:
            key = create_key(Path(options.file))
            print(f"{options.file}: key {key.id}", file=out)
            return 0


def verify(
    files: Sequence[str], keys: Sequence[str], heads: Sequence[str], environ: Mapping[str, str], out: TextIO
) -> int:
    """Verifies files and prints the findings; returns the exit code."""
    found = [key_from_file(Path(key)) for key in keys] or [audit_key(None, environ, "--key")]
    verifier = Verifier(found, _heads(heads))
    for name in _in_order(files):
        verifier.read(name, _lines(name))
    verifier.finish()
    for finding in verifier.findings:
        print(f"{'PROBLEM' if finding.problem else 'note'}: {finding}", file=out)
    for name, chain in sorted(verifier.chains.items()):
        print(f"chain {name}: entries {chain.first} to {chain.last}, {chain.entries} of them read", file=out)
    problems = sum(finding.problem for finding in verifier.findings)
    print("intact" if verifier.intact else f"NOT INTACT: {problems} problem{'s' * (problems > 1)}", file=out)
    if not heads:
        print("without --heads, a cut-off end cannot be found", file=out)
    return INTACT if verifier.intact else TAMPERED


def show(options: argparse.Namespace, out: TextIO) -> int:
    """Prints the entries that the options select."""
    player = None
    if options.player is not None:
        with closing(Pseudonyms(_players(options))) as players:
            player = players.find(options.player)
        if player is None:
            raise ConfigurationError(f"player {options.player} has no key: there are no entries, or they were erased")
    for name in _in_order(options.files):
        for line in _lines(name):
            sealed = parse(line.removesuffix(b"\n"))
            if sealed is not None and _selected(sealed.entry, player, options):
                text = line.decode().rstrip("\n") if options.json else _row(sealed.entry)
                print(text, file=out)
    return 0


def erase(options: argparse.Namespace, out: TextIO) -> int:
    """Destroys the key of a player."""
    path = _players(options)
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist: name the players' keys with --players")
    with closing(Pseudonyms(path)) as players:
        try:
            erased = players.erase(options.player)
        except OSError as error:
            raise ConfigurationError(f"{path}: {error}") from error
    print("the player's key is destroyed" if erased else "the player has no key: nothing to erase", file=out)
    return 0


def _players(options: argparse.Namespace) -> Path:
    if options.players is not None:
        return Path(options.players)
    if not options.files:
        raise ConfigurationError("name the players' keys with --players FILE, or the log")
    return Path(options.files[0] + PLAYERS_SUFFIX)


def _selected(entry: LogEntry, player: str | None, options: argparse.Namespace) -> bool:
    return (
        (player is None or entry.player == player)
        and (not options.event or any(fnmatchcase(entry.event, pattern) for pattern in options.event))
        and (options.since is None or entry.time >= options.since)
        and (options.until is None or entry.time < options.until)
    )


def _row(entry: LogEntry) -> str:
    parts: list[str] = [entry.time, entry.event]
    for name in ("actor", "player", "address", "transport", "route", "status", "trace_id"):
        value = getattr(entry, name)
        if value:
            parts.append(f"{name}={value}")
    parts += [f"{name}={value}" for name, value in entry.details.items()]
    if entry.count > 1:
        parts.append(f"count={entry.count} since={entry.since}")
    if entry.reason:
        parts.append(json.dumps(entry.reason, ensure_ascii=False))
    return " ".join(parts)


def _in_order(files: Sequence[str]) -> list[str]:
    """The files in the order of their first entries."""

    def place(name: str) -> tuple[str, int]:
        for line in _lines(name):
            sealed = parse(line.removesuffix(b"\n"))
            if sealed is not None:
                return sealed.entry.chain, sealed.entry.sequence
        return "", 0

    return sorted(files, key=place)


def _lines(name: str) -> Iterator[bytes]:
    try:
        with open(name, "rb") as file:
            yield from file
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}") from error


def _heads(logs: Sequence[str]) -> Iterator[ChainHead]:
    for name in logs:
        for line in _lines(name):
            yield from heads_in(line.decode(errors="replace"))


def _time(text: str) -> str:
    """An RFC 3339 time as entries have it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-01-15T10:00:00Z") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no zone: add Z for UTC")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
