"""The layers, as a table, held against what every module imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import craftnet
from craftnet.tests.support.layers import ANYWHERE, LAYERS, NETWORK, PURE

PACKAGE = Path(craftnet.__file__).parent
REPOSITORY = PACKAGE.parent


@cache
def modules() -> dict[str, Path]:
    """Every module of the package but the tests, by name, as the disk has it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if parts[1] != "tests":
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def package(module: str) -> str:
    """The package of a module; of a module in the root, and of a package, its own name."""
    if modules()[module].name == "__init__.py":
        return module
    above = module.rpartition(".")[0]
    return module if above == "craftnet" else above


def allowed(name: str) -> set[str]:
    """Packages that a package may import."""
    below = {one if one == "craftnet" else f"craftnet.{one}" for one in LAYERS[name]}
    return below | ANYWHERE | {name}


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _statements(node: ast.AST, *, annotations: bool, functions: bool) -> Iterator[ast.AST]:
    """The statements below; those for annotations only, and those of functions, unless they are not asked for."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue  # no expression imports anything.
        if isinstance(child, ast.If) and _is_type_checking(child) and not annotations:
            yield from _statements(ast.Module(child.orelse, []), annotations=annotations, functions=functions)
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
            continue
        yield child
        yield from _statements(child, annotations=annotations, functions=functions)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, annotations: bool = True, functions: bool = True) -> frozenset[str]:
    """The full names of what a file imports: of `from a import b` a.b, and a, unless b is a module of ours in a."""
    names: set[str] = set()
    for node in _statements(parsed(path), annotations=annotations, functions=functions):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(members if ours(members) == members else {node.module, *members})
    return frozenset(names)


def ours(names: Iterable[str]) -> set[str]:
    """Those that are modules of the package."""
    return {name for name in names if name in modules()}


def network(names: Iterable[str]) -> set[str]:
    """Those that are of `NETWORK`."""
    return {name for name in names if name.split(".")[0] in NETWORK}


def below(name: str) -> set[str]:
    """The modules that importing `name` imports, itself included."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        found.add(one := waiting.pop())
        waiting += ours(imports(modules()[one], annotations=False)) - found
    return found


class LayerTests(SynchronousTestCase):
    def test_every_package_has_a_row(self) -> None:
        packages = {package(name) for name, path in modules().items() if path.name != "__init__.py"}
        self.assertEqual(packages | {"craftnet"}, set(LAYERS))

    def test_imports_follow_the_table(self) -> None:
        wrong = []
        for name, path in modules().items():
            own = package(name)
            if own not in LAYERS:
                continue
            for imported in sorted(ours(imports(path, annotations=own != "craftnet.interfaces"))):
                if package(imported) not in allowed(own):
                    wrong.append(f"{name} imports {imported}")
        self.assertEqual(wrong, [], "give it another place, or its package another row in LAYERS")

    def test_rows_are_needed(self) -> None:
        used: dict[str, set[str]] = {name: set() for name in LAYERS}
        for name, path in modules().items():
            if package(name) in LAYERS:
                used[package(name)] |= {package(imported) for imported in ours(imports(path))}
        unused = {name: sorted(allowed(name) - ANYWHERE - {name} - used[name]) for name in LAYERS}
        self.assertEqual({name: names for name, names in unused.items() if names}, {})

    def test_packages_have_an_order(self) -> None:
        """Else the table itself would allow packages to import each other in a circle."""
        tuple(TopologicalSorter({name: allowed(name) - {name} - ANYWHERE for name in LAYERS}).static_order())

    def test_few_import_what_builds_the_service(self) -> None:
        importers = {
            name
            for name, path in modules().items()
            for imported in imports(path)
            if "craftnet.server.build" in imported and package(name) != "craftnet.server.build"
        }
        self.assertEqual(importers, {"craftnet.tap", "craftnet.operator.configuration"})

    def test_nothing_imports_the_tap(self) -> None:
        self.assertEqual([name for name, path in modules().items() if "craftnet.tap" in imports(path)], [])

    def test_no_file_imports_itself_in_a_circle(self) -> None:
        """Annotations count, but those of the interfaces, which name all that a provider is given."""
        graph = {
            name: ours(imports(path, annotations=name != "craftnet.interfaces")) - {name}
            for name, path in modules().items()
        }
        try:
            tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            self.fail(f"import cycle: {' → '.join(error.args[1])}")


class PurityTests(SynchronousTestCase):
    def test_pure_packages_know_no_network(self) -> None:
        """Neither do the modules that they import."""
        wrong = []
        for name in modules():
            known = PURE.get(package(name))
            if known is None:
                continue
            for one in sorted(below(name)):
                for imported in sorted(network(imports(modules()[one], annotations=False))):
                    if not any(
                        imported == good or f"{good}.".startswith(f"{imported}.") or imported.startswith(f"{good}.")
                        for good in known
                    ):
                        wrong.append(f"{name} imports {imported} in {one}")
        self.assertEqual(wrong, [])

    def test_pure_packages_are_in_the_table(self) -> None:
        self.assertLessEqual(set(PURE), set(LAYERS))

    def test_interfaces_stay_tiny(self) -> None:
        """Every plugin look-up imports them, with a cold cache before there is a reactor."""
        runtime = imports(modules()["craftnet.interfaces"], annotations=False)
        self.assertEqual(ours(runtime) | network(runtime), set())

    def test_importing_a_module_imports_no_reactor(self) -> None:
        importers = [
            name
            for name, path in modules().items()
            if "twisted.internet.reactor" in imports(path, annotations=False, functions=False)
        ]
        self.assertEqual(importers, [])

    def test_plugin_look_up_installs_no_reactor(self) -> None:
        """And imports no back end."""
        program = (
            "import sys\n"
            "import twisted.plugins.craftnet_plugin, twisted.plugins.craftnet_backends, craftnet.providers.registry\n"
            "print([name for name in sys.modules if name == 'twisted.internet.reactor'"
            " or name.startswith(('craftnet.providers.memory', 'craftnet.providers.redis', "
            "'craftnet.providers.workshop', 'craftnet.providers.upstream'))"
            " or name.startswith(('craftnet.server', 'craftnet.tap'))])"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        self.assertEqual((run.stdout.strip(), run.stderr), ("[]", ""))


class SuiteTests(SynchronousTestCase):
    def test_contracts_know_interfaces_only(self) -> None:
        """So that they can be run on any provider."""
        known = {"craftnet", "craftnet.interfaces", "craftnet.errors", "craftnet.contract", "craftnet.crafting"}
        for suite in ("backend.py", "cluster.py"):
            names = ours(imports(PACKAGE / "tests" / "contracts" / suite))
            self.assertLessEqual(
                {package(name) for name in names} - known, {"craftnet.access", "craftnet.access.revocation"}
            )


class ParsingTests(SynchronousTestCase):
    """The test's own eyes."""

    SOURCE = """
from typing import TYPE_CHECKING
import craftnet.crafting.progress
if TYPE_CHECKING:
    from craftnet.feeds import hub
else:
    from craftnet.contract.messages import Status
try:
    from twisted.internet import reactor
except ImportError:
    pass
def later():
    import craftnet.server.service
"""

    def seen(self, *, annotations: bool, functions: bool) -> set[str]:
        path = Path(self.mktemp())
        path.write_text(self.SOURCE)
        names = imports(path, annotations=annotations, functions=functions)
        return ours(names) | network(names)

    def test_all(self) -> None:
        seen = self.seen(annotations=True, functions=True)
        wanted = {
            "craftnet.feeds.hub",
            "craftnet.crafting.progress",
            "craftnet.contract.messages",
            "craftnet.server.service",
        }
        self.assertEqual(seen, wanted | {"twisted.internet", "twisted.internet.reactor"})

    def test_when_imported(self) -> None:
        seen = self.seen(annotations=False, functions=False)
        self.assertIn("twisted.internet.reactor", seen)
        self.assertEqual(ours(seen), {"craftnet.crafting.progress", "craftnet.contract.messages"})
