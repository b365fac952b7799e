"""`craftnet dictionary`: capture, train, evaluate and publish dictionaries of `craftnet.json.lz4.v1`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import SystemRandom

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from craftnet.client.arguments import TOKEN_VARIABLE
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import checked
from craftnet.client.core.durations import duration
from craftnet.client.core.endings import Ending
from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.operator.dictionary.capture import Capture
from craftnet.operator.dictionary.corpus import Blanking, read_corpus
from craftnet.operator.dictionary.training import Evaluation, evaluate, train
from craftnet.protocols.websocket.core.dictionaries import (
    MAX_DICTIONARY,
    MAX_ID,
    SUFFIX,
    Dictionaries,
    Dictionary,
    UnknownDictionary,
    read_folder,
)

LEAST_GAIN = 0.05
"""Minimum share that a dictionary must save beyond the present one, to be worth a download by every client."""

DONE, REFUSED, NOT_WORTH_IT, INTERRUPTED = 0, 1, 3, 130

_EPILOG = """\
steps:
  craftnet dictionary capture traffic.ndjson --seconds 600
  craftnet dictionary train traffic.ndjson new.lz4dict
  craftnet dictionary evaluate traffic.ndjson new.lz4dict
  craftnet dictionary publish traffic.ndjson new.lz4dict /etc/craftnet/dictionaries

exit codes:
  0    done
  1    the server refused, or cannot be reached
  2    wrong usage, or a file cannot be used
  3    the dictionary saves less than 5 %
  130  interrupted (Ctrl-C); what was sampled is kept
"""


def dictionary(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs `craftnet dictionary …`; returns the exit code.

    Raises:
        ConfigurationError: a file or the environment cannot be used.
    """
    parser = argparse.ArgumentParser(prog="craftnet dictionary", allow_abbrev=False)
    add_dictionary(parser)
    options = parser.parse_args(arguments)
    commands: dict[str, Callable[[argparse.Namespace, Mapping[str, str]], int]] = {
        "capture": _capture,
        "train": _train,
        "evaluate": _evaluate,
        "publish": _publish,
    }
    return commands[options.command](options, environ)


def add_dictionary(parser: argparse.ArgumentParser) -> None:
    """Adds the commands of `craftnet dictionary`."""
    parser.description = (
        "Train a dictionary for the compressed subprotocol, craftnet.json.lz4.v1, on this service's own traffic, and "
        "publish it if it is better than the present one."
    )
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}.".replace("%%", "%")
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=description)
        added.add_argument("corpus", metavar="CORPUS", type=Path, help="the file with messages, one a line")
        return added

    capture = command("capture", "sample the messages of a running server, without ids")
    capture.add_argument(
        "--url", default="http://127.0.0.1:8080", help="base URL of the service (default: %(default)s)"
    )
    capture.add_argument(
        "--seconds", metavar="DURATION", type=duration, default="10m", help="how long to sample (default: %(default)s)"
    )
    capture.add_argument(
        "--players",
        metavar="N",
        type=int,
        default=50,
        help="maximum number of players that are followed at once (default: %(default)s)",
    )
    capture.epilog = f"The token, with the scope crafting:admin, is read from {TOKEN_VARIABLE}."
    training = command("train", "train a dictionary on sampled messages")
    training.add_argument("dictionary", metavar="FILE", type=Path, help="the file that is written")
    training.add_argument(
        "--max-size",
        metavar="BYTES",
        type=int,
        default=8192,
        help="size of the largest dictionary: a larger one saves a little more, and each compression takes longer "
        "(default: %(default)s)",
    )
    for name, text in (
        ("evaluate", "compare a dictionary with the present one"),
        ("publish", "write a dictionary under the next id, if it saves 5 %% or more"),
    ):
        added = command(name, text)
        added.add_argument("dictionary", metavar="FILE", type=Path, help="the file of the dictionary")
        folder = partial(added.add_argument, "dictionaries", metavar="FOLDER", type=Path)
        if name == "publish":
            folder(help="the folder of the server's option --dictionaries")
        else:
            folder(nargs="?", help="the folder of the server's option --dictionaries")
            added.add_argument("--json", action="store_true", help="print JSON")
        added.add_argument(
            "--against", metavar="ID", type=int, help="the id of the dictionary to compare with (default: the newest)"
        )


def _capture(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ConfigurationError(f"no token: set {TOKEN_VARIABLE} to one with the scope crafting:admin")
    address, console = Address(options.url), Console(stderr=True)
    try:
        opened = os.open(options.corpus, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{options.corpus} cannot be written: {error.strerror}") from error
    codes: list[int] = []

    with os.fdopen(opened, "ab") as file, console.status("connecting") as status:

        async def run(reactor: object) -> None:
            capture = Capture(
                steady(reactor), address, checked(token), Blanking(SystemRandom()), file.write, options.players
            )

            def progress(players: int, messages: int) -> None:
                status.update(f"{messages:,} messages of {players} players")

            ending = await capture.run(options.seconds, progress)
            codes.append(_captured(capture.messages, ending, options.corpus))

        with suppress(SystemExit):  # how `react` always ends.
            react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    return codes[0] if codes else INTERRUPTED


def _captured(messages: int, ending: Ending | None, corpus: Path) -> int:
    if ending is not None:
        print(f"craftnet dictionary: {ending.reason}", file=sys.stderr)
        return REFUSED
    print(f"{messages:,} messages are in {corpus}")
    return DONE


def _train(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not 256 <= options.max_size <= MAX_DICTIONARY:
        raise ConfigurationError(f"--max-size is 256 to {MAX_DICTIONARY} bytes, not {options.max_size}")
    corpus = read_corpus(options.corpus)
    with Console(stderr=True).status("training") as status:
        made = train(corpus.training, options.max_size, lambda at, of: status.update(f"dictionary {at} of {of}"))
    try:
        options.dictionary.write_bytes(made.octets)
    except OSError as error:
        raise ConfigurationError(f"{options.dictionary} cannot be written: {error.strerror}") from error
    print(
        f"{options.dictionary}: {len(made.octets):,} bytes, the best of {made.tried} "
        f"(segments of {made.segment} bytes, pieces of {made.dmer})"
    )
    return DONE


def _evaluate(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    found = Dictionaries() if options.dictionaries is None else read_folder(options.dictionaries)
    evaluation, present = _evaluation(options, found)
    if options.json:
        import msgspec  # only the table needs it.

        print(msgspec.json.encode(evaluation).decode())
    else:
        _show(evaluation, present)
    return DONE if evaluation.total.gain >= LEAST_GAIN else NOT_WORTH_IT


def _evaluation(options: argparse.Namespace, found: Dictionaries) -> tuple[Evaluation, Dictionary]:
    corpus = read_corpus(options.corpus)
    try:
        octets = options.dictionary.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{options.dictionary} cannot be read: {error.strerror}") from error
    if not 0 < len(octets) <= MAX_DICTIONARY:
        raise ConfigurationError(f"{options.dictionary} is no dictionary: it has {len(octets)} bytes")
    try:
        present = found.get(options.against or max(found.ids))
    except UnknownDictionary as error:
        raise ConfigurationError(f"--against {options.against}: {error}") from None
    return evaluate(corpus.held_out, Dictionary.of(_next_id(found), octets), present), present


def _next_id(found: Dictionaries) -> int:
    following = max(found.ids) + 1
    if following > MAX_ID:
        raise ConfigurationError(f"all ids are taken: {MAX_ID} is the last")
    return following


def _show(evaluation: Evaluation, present: Dictionary) -> None:
    table = Table("messages", "number", "JSON", "none", f"id {present.id}", "new", "saves", box=SIMPLE)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header == "messages" else "right"
    for row in evaluation.rows:
        sizes = [f"{size:,.1f}" for size in (row.json, row.without, row.before, row.after)]
        table.add_row(row.kind, f"{row.messages:,}", *sizes, f"{row.gain:.1%}")
    console = Console()
    console.print(table)
    console.print(
        "Bytes of a message on average, compressed without a dictionary, with the present one and with the new one, "
        "which was not trained on these messages. Compressing one takes "
        f"{evaluation.microseconds[1]:.1f} µs, with dictionary {present.id} {evaluation.microseconds[0]:.1f} µs."
    )


def _publish(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    options.dictionaries.mkdir(parents=True, exist_ok=True)
    found = read_folder(options.dictionaries)
    evaluation, present = _evaluation(options, found)
    gain = evaluation.total.gain
    if gain < LEAST_GAIN:
        print(
            f"craftnet dictionary: it saves {gain:.1%} beside dictionary {present.id}; {LEAST_GAIN:.0%} or more are "
            "worth a download by every client. Nothing is published.",
            file=sys.stderr,
        )
        return NOT_WORTH_IT
    made = Dictionary.of(_next_id(found), options.dictionary.read_bytes())
    path = options.dictionaries / f"{made.id}{SUFFIX}"
    try:
        with path.open("xb") as file:
            file.write(made.octets)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    print(
        f"{path}: dictionary {made.id} saves {gain:.1%}; SHA-256 {made.digest}\n"
        "It never changes from now on.\n"
        f"1. Copy it to every node, and restart each with --dictionaries {options.dictionaries}.\n"
        f"2. Then restart each with --dictionary {made.id}: messages are compressed with it."
    )
    return DONE
