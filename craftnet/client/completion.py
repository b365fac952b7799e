"""Scripts that complete the `craftnet` command in a shell, generated from its parser.

They are static: a shell that asked the command itself would wait for its imports at every press of the key.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from shlex import quote

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_craftnet() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= word words
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$path $word" in
%(paths)s
        esac
    done
    case "$path $prev" in
%(values)s
    esac
    case "$path" in
%(words)s
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _craftnet craftnet
"""


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell, one of `SHELLS`.

    Arguments:
        parser: the whole command's.
    """
    if shell == "fish":
        return "\n".join(["complete -c craftnet -f", *_fish(parser)]) + "\n"
    head = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
    return (head if shell == "zsh" else "") + _bash(parser)


def commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The parser of every command, by the words that lead to it."""
    yield path, parser
    for action in parser._actions:  # argparse shows them in no other way.
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, (*path, name))


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """The possible next words: options, subcommands, and fixed values of arguments."""
    words = []
    for action in parser._actions:
        words += [each for each in action.option_strings if each.startswith("--")]
        if not action.option_strings and action.choices:
            words += map(str, action.choices)
    return words


def _bash(parser: argparse.ArgumentParser) -> str:
    paths, values, words = [], [], []
    for path, command in commands(parser):
        here = "".join(f" {name}" for name in path)
        if path:
            before = "".join(f" {name}" for name in path[:-1])
            paths.append(f"            {quote(f'{before} {path[-1]}')}) path={quote(here)} ;;")
        words.append(f"        {quote(here)}) words={quote(' '.join(_words(command)))} ;;")
        for action in command._actions:
            for option in action.option_strings if action.choices else ():
                chosen = " ".join(map(str, action.choices or ()))
                reply = f'COMPREPLY=($(compgen -W {quote(chosen)} -- "$cur")); return'
                values.append(f"        {quote(f'{here} {option}')}) {reply} ;;")
    return _BASH % {"paths": "\n".join(paths), "values": "\n".join(values), "words": "\n".join(words)}


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    for path, command in commands(parser):
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in path) or "__fish_use_subcommand"
        line = f"complete -c craftnet -n {quote(seen)}"
        for action in command._actions:
            text = quote((action.help or "").replace("%(default)s", str(action.default)))
            if isinstance(action, argparse._SubParsersAction):
                yield from (
                    f"{line} -a {name} -d {quote(each.description or '')}" for name, each in action.choices.items()
                )
            elif action.option_strings:
                name = action.option_strings[-1].lstrip("-")
                takes = (
                    ""
                    if action.nargs == 0
                    else " -r"
                    if not action.choices
                    else f" -x -a {quote(' '.join(action.choices))}"
                )
                yield f"{line} -l {name}{takes} -d {text}"
            elif action.choices:
                yield f"{line} -a {quote(' '.join(map(str, action.choices)))}"
