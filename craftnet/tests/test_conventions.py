"""Rules for the sources: sizes and names everywhere; tests wait briefly, are seeded and use public parts only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SkipTest, SynchronousTestCase

FOLDER = Path(__file__).parent

PACKAGE = FOLDER.parent

REPOSITORY = PACKAGE.parent

LONGEST_FILE = 400
"""Lines of a module, of a test or of a benchmark."""

LONGEST_FUNCTION = 60
"""Lines of a function, from its `def` to its end."""

RETIRED = {
    *("anew", "anybody", "bake", "banner", "census", "departures", "door", "elsewhere", "era", "everybody"),
    *("farewell", "goodbye"),
    *("grant", "grants", "guest", "guests", "haste", "heed", "heeded", "initiator", "intake", "knock"),
    *("knocking", "knocks", "ledger", "lobby", "lookout", "marks", "nobody", "oven", "outbox", "packing"),
    *("packings", "parcel", "parcels", "patience", "replica", "roster", "scout", "somebody", "stock"),
    *("stocked", "tallies", "tally", "tell", "telling", "tells", "told", "unpack", "unpacked", "untold"),
    *("unwelcome", "welcome", "welcomed", "whoever", "wish"),
}
"""Words that names do without. Each has another one of the field's, in docs/glossary.md."""

FIELD_WORDS = {
    # a retired word, and the folders in which it is the field's own.
    "replica": ("craftnet/tests/providers/redis/", "craftnet/tests/faults/"),
}

EMPTY_NAMES = {"util", "utils", "utilities", "helper", "helpers", "common", "misc", "shared", "stuff"}

LONGEST = 0.3
"""Seconds that a test may let pass in one call. A longer wait is for an event, or on a clock that the test sets."""

SLEEPS = {"sleep": 0, "deferLater": 1}
"""Functions that let time pass, each with the place of the seconds among its arguments."""

MAY_BE_LONG = {
    # module, and the call as it is written: why.
    ("faults/faults.py", "sleep(2.0)"): "the fault itself, of make soak: a node stands still for so long",
    ("faults/rounds.py", "sleep(1.5)"): "nodes look once a second for what Redis has lost, and nothing shows it",
}

MAY_BE_REACHED = {
    # module, and the private part: why.
    ("test_private_parts.py", "_closeConnection"): "Autobahn's: the test is that it has it",
    (
        "protocols/websocket/test_slow_consumers.py",
        "_tempDataLen",
    ): "Twisted's: octets that wait in a transport, which nothing else shows",
}

DRAWN = {"uniform": 1, "random": None}
"""Methods of `random.Random` that draw a number, each with the place of the largest one; None: it is 1."""

UNSEEDED = {"urandom", "token_bytes", "token_hex", "token_urlsafe", "randbelow"}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """The nodes of a file's syntax tree; the first is the module."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


class Source:
    """A module of the test suite."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(FOLDER).as_posix()
        self.nodes = nodes_of(path)
        self.tree = cast(ast.Module, self.nodes[0])
        self.constants: dict[str, ast.expr] = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def at(self, node: ast.expr | ast.stmt) -> str:
        """The place of a node, to show."""
        return f"{self.name}:{node.lineno}: {ast.unparse(node)}"

    def largest(self, node: ast.expr) -> float:
        """The largest value of an expression of numbers, constants of the module and drawn numbers.

        Raises:
            ValueError: it is another expression.
        """
        match node:
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.Name(id=name) if name in self.constants:
                return self.largest(self.constants[name])
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self.largest(left) * self.largest(right)
            case ast.Call(func=ast.Attribute(attr=name), args=arguments) if name in DRAWN:
                index = DRAWN[name]
                return 1.0 if index is None else self.largest(arguments[index])
        raise ValueError(f"{ast.unparse(node)} is no number that can be seen here")

    def calls(self, *names: str) -> Iterator[tuple[ast.Call, str, str]]:
        """Every call of a function with one of these names, its module or object as it is written, and its name."""
        for node in self.nodes:
            match node:
                case ast.Call(func=ast.Name(id=name)) if not names or name in names:
                    yield node, "", name
                case ast.Call(func=ast.Attribute(value=owner, attr=name)) if not names or name in names:
                    yield node, owner.id if isinstance(owner, ast.Name) else "an expression", name


@cache
def sources() -> tuple[Source, ...]:
    """Every module of the test suite."""
    return tuple(Source(path) for path in sorted(FOLDER.rglob("*.py")))


@cache
def files() -> dict[str, list[ast.AST]]:
    """The nodes of every Python file of the package, its tests, the benchmarks and docs, by path."""
    return {
        path.relative_to(REPOSITORY).as_posix(): nodes_of(path)
        for folder in (PACKAGE, REPOSITORY / "bench", REPOSITORY / "docs")
        for path in sorted(folder.rglob("*.py"))
    }


def package_files() -> dict[str, list[ast.AST]]:
    """The files of the package without its tests."""
    return {
        path: nodes
        for path, nodes in files().items()
        if path.startswith("craftnet/") and not path.startswith("craftnet/tests/")
    }


def defined_names(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """The names that a file gives to something, each with its line."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                yield node.lineno, text
            case ast.arg(arg=text) | ast.Name(id=text, ctx=ast.Store()) | ast.Attribute(attr=text, ctx=ast.Store()):
                yield node.lineno, text


def retired(path: str, name: str) -> set[str]:
    """The retired words of a name in this file."""
    words = {word.lower() for word in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return {word for word in words & RETIRED if not path.startswith(FIELD_WORDS.get(word, ()))}


def differ_by_a_letter(one: str, other: str) -> bool:
    """Whether one changed, added or removed letter makes one word of the other."""
    short, long = sorted((one, other), key=len)
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) == 1
    return any(long[:index] + long[index + 1 :] == short for index in range(len(long)))


class SizeTests(SynchronousTestCase):
    """A file has one job, and a function fits on a screen."""

    def test_files(self) -> None:
        lengths = {path: len((REPOSITORY / path).read_text(encoding="utf-8").splitlines()) for path in files()}
        self.assertEqual({path: length for path, length in lengths.items() if length > LONGEST_FILE}, {})

    def test_functions(self) -> None:
        long = {
            f"{path}: {node.name}": length
            for path, nodes in files().items()
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
        }
        self.assertEqual(long, {})


class NameTests(SynchronousTestCase):
    def test_modules_have_a_subject(self) -> None:
        paths = [path for path in PACKAGE.rglob("*") if path.is_dir() or path.suffix == ".py"]
        self.assertEqual([str(path) for path in paths if path.stem.lower() in EMPTY_NAMES], [])

    def test_modules_of_a_folder_differ_by_more_than_a_letter(self) -> None:
        paths = sorted(package_files())
        similar = [
            f"{one} and {other}"
            for one, other in combinations(paths, 2)
            if one.rpartition("/")[0] == other.rpartition("/")[0]
            and differ_by_a_letter(Path(one).stem, Path(other).stem)
        ]
        self.assertEqual(similar, [])

    def test_no_class_name_is_defined_twice(self) -> None:
        """In the package; a test class may have the name of another in its module."""
        defined_in: dict[str, list[str]] = {}
        for path, nodes in package_files().items():
            module = nodes[0]
            assert isinstance(module, ast.Module)
            for node in module.body:
                if isinstance(node, ast.ClassDef):
                    defined_in.setdefault(node.name, []).append(path)
        self.assertEqual({name: found for name, found in defined_in.items() if len(found) > 1}, {})

    def test_retired_words_stay_out(self) -> None:
        """The glossary (docs/glossary.md) has a word for each of them."""
        found = [path for path in files() if retired(path, Path(path).stem)]
        found += [
            f"{path}:{line}: {name}"
            for path, nodes in files().items()
            for line, name in defined_names(nodes)
            if retired(path, name)
        ]
        self.assertEqual(found, [])

    def test_retired_words_are_in_the_glossary(self) -> None:
        glossary = REPOSITORY / "docs" / "glossary.md"
        if not glossary.exists():
            raise SkipTest("not run from the repository")
        table = glossary.read_text(encoding="utf-8").partition("| not | but |")[2]
        listed = {word for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.MULTILINE) for word in row.split(", ")}
        self.assertEqual(listed, RETIRED)

    def test_plugin_folders_are_no_packages(self) -> None:
        """An `__init__.py` there would hide Twisted's own plugins, and every other project's."""
        plugins = REPOSITORY / "twisted" / "plugins"
        if not (REPOSITORY / "pyproject.toml").exists():
            raise SkipTest("not run from the repository")
        self.assertTrue((plugins / "craftnet_plugin.py").exists())
        self.assertEqual([folder for folder in (plugins, plugins.parent) if (folder / "__init__.py").exists()], [])


class WaitingTests(SynchronousTestCase):
    def test_no_long_sleeps(self) -> None:
        long = []
        for source in sources():
            for call, owner, name in source.calls(*SLEEPS):
                index, written = SLEEPS[name], (source.name, ast.unparse(call))
                if len(call.args) <= index or owner == "self" or written in MAY_BE_LONG:
                    continue
                try:
                    seconds = source.largest(call.args[index])
                except ValueError as error:
                    long.append(f"{source.at(call)}: {error}")
                else:
                    long += [source.at(call)] if seconds > LONGEST else []
        self.assertEqual(long, [], f"wait for an event, use a clock, or sleep for {LONGEST} s at most")


class SeedTests(SynchronousTestCase):
    def test_randomness_is_seeded(self) -> None:
        """That of the random module, of the system, and of Hypothesis."""
        unseeded = []
        for source in sources():
            modules = {name.name for node in source.nodes if isinstance(node, ast.Import) for name in node.names}
            for call, owner, name in source.calls():
                of_module = owner == "random" and "random" in modules and name != "Random"
                without_seed = name == "Random" and not call.args
                keywords = {word.arg for word in call.keywords}
                any_examples = name == "settings" and "max_examples" in keywords and "derandomize" not in keywords
                if of_module or without_seed or any_examples:
                    unseeded.append(source.at(call))
            unseeded += [
                source.at(node) for node in source.nodes if isinstance(node, ast.Attribute) and node.attr in UNSEEDED
            ]
        self.assertEqual(unseeded, [], "draw from a Random with a seed")

    def test_hypothesis_is_derandomized(self) -> None:
        """Each test that it runs has settings, which are derandomized: a failure can be reproduced."""
        without = []
        for source in sources():
            derandomized = {
                name for name, value in source.constants.items() if "derandomize=True" in ast.unparse(value)
            }
            for node in source.nodes:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                texts = [ast.unparse(decorator) for decorator in node.decorator_list]
                seeded = any("derandomize=True" in text or text in derandomized for text in texts)
                if any(text.startswith("given(") for text in texts) and not seeded:
                    without.append(f"{source.name}:{node.lineno}: {node.name}")
        self.assertEqual(without, [], "decorate it with settings(derandomize=True)")


class SharingTests(SynchronousTestCase):
    def test_no_test_imports_a_test(self) -> None:
        """What several tests use is in a module of its own."""
        imported = [
            source.at(node)
            for source in sources()
            for node in source.nodes
            if isinstance(node, ast.ImportFrom)
            and any(part.startswith("test_") for part in (node.module or "").split("."))
        ]
        self.assertEqual(imported, [])


class PrivacyTests(SynchronousTestCase):
    def test_private_parts_are_left_alone(self) -> None:
        """A test uses only the public parts of other objects."""
        reached = []
        for source in sources():
            for node in source.nodes:
                match node:
                    case ast.Attribute(value=owner, attr=name) if private(name):
                        own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
                        if not own and (source.name, name) not in MAY_BE_REACHED:
                            reached.append(source.at(node))
                    case ast.ImportFrom(names=names) if any(private(each.name) for each in names):
                        reached.append(source.at(node))
        self.assertEqual(reached, [], "use what is public, or make a part public that others may want, too")


def private(name: str) -> bool:
    """Whether a name says that it is of no concern to others."""
    return name.startswith("_") and not name.startswith("__")
