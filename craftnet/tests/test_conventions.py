"""Rules that the tests keep: they don't wait for long, are seeded, and use neither other tests nor private parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

FOLDER = Path(__file__).parent

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


class Source:
    """A module of the test suite."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(FOLDER).as_posix()
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.nodes = list(ast.walk(self.tree))
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
                place = DRAWN[name]
                return 1.0 if place is None else self.largest(arguments[place])
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


class WaitingTests(SynchronousTestCase):
    def test_no_long_sleeps(self) -> None:
        long = []
        for source in sources():
            for call, owner, name in source.calls(*SLEEPS):
                place, written = SLEEPS[name], (source.name, ast.unparse(call))
                if len(call.args) <= place or owner == "self" or written in MAY_BE_LONG:
                    continue
                try:
                    seconds = source.largest(call.args[place])
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

    def test_hypothesis_is_told(self) -> None:
        """Each test that it runs has settings, which are derandomized: a failure is the same one for everybody."""
        without = []
        for source in sources():
            derandomized = {
                name for name, value in source.constants.items() if "derandomize=True" in ast.unparse(value)
            }
            for node in source.nodes:
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                texts = [ast.unparse(decorator) for decorator in node.decorator_list]
                told = any("derandomize=True" in text or text in derandomized for text in texts)
                if any(text.startswith("given(") for text in texts) and not told:
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
        """A test uses what anybody may use: the private parts of an object are those that it calls its own."""
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
