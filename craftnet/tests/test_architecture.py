"""The layers, as a table, held against what every module imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import craftnet

PACKAGE = Path(craftnet.__file__).parent
REPOSITORY = PACKAGE.parent

PLACES = {
    # module or package: its layer. The longest name that fits decides; in `craftnet` itself only whole names do.
    "craftnet": "core",  # the version, and nothing else.
    "craftnet.clocks": "clocks",
    "craftnet.interfaces": "interfaces",
    "craftnet.deferreds": "deferreds",
    "craftnet.errors": "core",
    "craftnet.bodies": "core",
    "craftnet.closecodes": "core",
    "craftnet.messages": "core",
    "craftnet.model": "core",
    "craftnet.state": "core",
    "craftnet.events": "core",
    "craftnet.envelopes": "core",
    "craftnet.identifiers": "core",
    "craftnet.positions": "core",
    "craftnet.specs": "core",
    "craftnet.ordering": "core",
    "craftnet.lifecycle": "core",
    "craftnet.stock": "core",
    "craftnet.waiting": "core",
    "craftnet.updates": "core",
    "craftnet.targets": "core",
    "craftnet.wheel": "core",
    "craftnet.addresses": "core",
    "craftnet.banner": "core",
    "craftnet.openfiles": "core",
    "craftnet.access": "access",
    "craftnet.access.principal": "core",  # the access rules themselves: a value and what it allows.
    "craftnet.access.revoked": "core",  # values too,
    "craftnet.access.limits": "core",
    "craftnet.access.tokenbucket": "core",
    "craftnet.access.networks": "core",  # and a value that one of them is made of.
    "craftnet.claims": "formats",
    "craftnet.protocols": "formats",
    "craftnet.protocols.udp.gateway": "shells",
    "craftnet.protocols.websocket.engine": "shells",
    "craftnet.protocols.websocket.transmit": "sockets",
    "craftnet.protocols.udp.port": "shells",
    "craftnet.protocols.udp.server": "shells",
    "craftnet.protocols.websocket.connection": "shells",
    "craftnet.protocols.websocket.factory": "shells",
    "craftnet.protocols.websocket.opening": "shells",
    "craftnet.fetch": "fetch",
    "craftnet.sources": "sources",
    "craftnet.epochs": "sources",
    "craftnet.observe": "observe",
    "craftnet.feeds": "feeds",
    "craftnet.hub": "feeds",
    "craftnet.ingest": "feeds",
    "craftnet.subscriptions": "admittance",
    "craftnet.http": "http",
    "craftnet.http.heads": "formats",  # what HTTP and the WebSocket handshake have in common.
    "craftnet.providers": "providers",
    "craftnet.providers.workshop": "simulation",
    "craftnet.providers.workshop.backend": "providers",
    "craftnet.providers.workshop.driver": "providers",
    "craftnet.registry": "registry",
    "craftnet.shards": "shards",
    "craftnet.shards.placement": "core",  # a value.
    "craftnet.shards.directory": "divided sources",
    "craftnet.client": "client",
    "craftnet.announcer": "composition",
    "craftnet.checks": "composition",
    "craftnet.liveness": "composition",
    "craftnet.orphan": "composition",
    "craftnet.collector": "composition",
    "craftnet.division": "composition",
    "craftnet.build": "composition",
    "craftnet.service": "composition",
    "craftnet.settings": "composition",
    "craftnet.signals": "composition",
    "craftnet.supervisor": "composition",
    "craftnet.tap": "tap",
}

LAYERS: dict[str, set[str]] = {
    # layer: the other layers it may import.
    "clocks": set(),
    "interfaces": set(),
    "deferreds": set(),
    "core": {"clocks"},
    "formats": {"clocks", "core"},
    "simulation": {"clocks", "core"},
    "sources": {"clocks", "core", "interfaces"},
    "shards": {"clocks", "deferreds", "core", "interfaces", "sockets"},
    "divided sources": {"clocks", "core", "interfaces", "sources", "shards"},
    "fetch": set(),
    "sockets": set(),
    "access": {"clocks", "deferreds", "core", "interfaces", "fetch"},
    "observe": {"clocks", "core", "interfaces", "fetch"},
    "registry": {"clocks", "core", "interfaces"},
    "providers": {"clocks", "deferreds", "core", "interfaces", "sources", "simulation"},
    "feeds": {"clocks", "deferreds", "core", "interfaces", "sources", "observe"},
    "admittance": {"clocks", "core", "interfaces", "access", "observe", "feeds"},
    "http": {
        *("clocks", "core", "interfaces", "formats", "sources", "access", "observe", "feeds", "sockets"),
        *("shards", "divided sources"),
    },
    "shells": {"clocks", "core", "interfaces", "formats", "access", "observe", "feeds", "admittance", "sockets"},
    "client": {"clocks", "core", "formats", "fetch"},
    "composition": {
        *("clocks", "core", "interfaces", "sources", "access", "observe", "registry"),
        *("feeds", "admittance", "http", "formats", "shells", "shards", "divided sources"),
    },
    "tap": {"clocks", "core", "registry", "composition", "shards"},
}

EXCEPTIONS = {
    # (module, what it imports beyond its layer): why.
    ("craftnet.client.commandline", "craftnet.access.development"): "`craftnet token` signs tokens for development",
    ("craftnet.client.arguments", "craftnet.access.development"): "its help names the secret's variable",
    (
        "craftnet.protocols.websocket.connection",
        "craftnet.http.exchange",
    ): "a refused handshake is answered as HTTP answers",
    (
        "craftnet.protocols.websocket.connection",
        "craftnet.http.handover",
    ): "it is given a handshake that was read as a request",
    (
        "craftnet.protocols.websocket.connection",
        "craftnet.http.lingering",
    ): "a failed connection ends as one does whose request is refused",
}

NETWORK = ("twisted", "autobahn", "treq")

DEFERREDS = {"twisted.internet.defer", "twisted.internet.interfaces", "twisted.python.failure"}
"""What knows of later, and of clocks, but of no network."""

PURE: dict[str, set[str]] = {
    # layers without I/O: what of `NETWORK` they may import.
    "clocks": {"twisted.internet.interfaces"},
    "deferreds": {*DEFERREDS, "twisted.logger"},
    "interfaces": set(),
    "core": set(),
    "formats": set(),
    "simulation": set(),
    "sources": set(),
    "feeds": DEFERREDS,
    "admittance": DEFERREDS,
}

LONGEST_FILE = 400
"""Lines of a module."""

LONGEST_FUNCTION = 60
"""Lines of a function, from its `def` to its end."""

EMPTY_NAMES = {"util", "utils", "utilities", "helper", "helpers", "common", "misc", "shared", "stuff"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package but the tests, by name, as the disk has it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if parts[1] != "tests":
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def layer(module: str) -> str | None:
    """The layer of a module; None when the table has no place for it."""
    name = module
    while name != "craftnet":
        if name in PLACES:
            return PLACES[name]
        name = name.rpartition(".")[0]
    return PLACES["craftnet"] if module == "craftnet" else None


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _statements(node: ast.AST, *, annotations: bool, functions: bool) -> Iterator[ast.AST]:
    """The nodes below, without what is only for annotations, or only run when a function is called, unless asked."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child) and not annotations:
            yield from _statements(ast.Module(child.orelse, []), annotations=annotations, functions=functions)
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not functions:
            continue
        yield child
        yield from _statements(child, annotations=annotations, functions=functions)


def imports(path: Path, *, annotations: bool = True, functions: bool = True) -> set[str]:
    """The full names of what a file imports: of `from a import b` a.b, and a, unless b is a module of ours in a."""
    names: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), annotations=annotations, functions=functions):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(members if ours(members) == members else {node.module, *members})
    return names


def ours(names: Iterable[str]) -> set[str]:
    """Those that are modules of the package."""
    return {name for name in names if name in modules()}


def network(names: Iterable[str]) -> set[str]:
    """Those that are of `NETWORK`."""
    return {name for name in names if name.split(".")[0] in NETWORK}


class LayerTests(SynchronousTestCase):
    def test_every_module_has_a_place(self) -> None:
        homeless = [name for name in modules() if layer(name) is None]
        self.assertEqual(homeless, [], "give it a place in PLACES")

    def test_imports_point_downwards(self) -> None:
        wrong = []
        for name, path in modules().items():
            own = layer(name)
            assert own is not None, name
            for imported in sorted(ours(imports(path, annotations=own != "interfaces"))):
                below = layer(imported)
                if below != own and below not in LAYERS[own] and (name, imported) not in EXCEPTIONS:
                    wrong.append(f"{name} ({own}) imports {imported} ({below})")
        self.assertEqual(wrong, [])

    def test_exceptions_are_needed(self) -> None:
        for name, imported in EXCEPTIONS:
            self.assertIn(imported, imports(modules()[name]))

    def test_table_is_about_what_is_there(self) -> None:
        self.assertEqual([name for name in PLACES if name not in modules()], [])
        self.assertEqual(set(PLACES.values()), set(LAYERS))
        self.assertLessEqual(set(PURE), set(LAYERS))

    def test_layers_have_an_order(self) -> None:
        """Else the table itself would allow data to flow in circles."""
        tuple(TopologicalSorter(LAYERS).static_order())

    def test_only_the_tap_imports_what_builds_the_service(self) -> None:
        importers = [name for name, path in modules().items() if "craftnet.build" in imports(path)]
        self.assertEqual(importers, ["craftnet.tap"])

    def test_nothing_imports_the_tap(self) -> None:
        self.assertEqual([name for name, path in modules().items() if "craftnet.tap" in imports(path)], [])

    def test_no_cycles(self) -> None:
        graph = {name: ours(imports(path, annotations=False)) - {name} for name, path in modules().items()}
        try:
            tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            self.fail(f"import cycle: {' → '.join(error.args[1])}")


class PurityTests(SynchronousTestCase):
    def test_pure_layers_know_no_network(self) -> None:
        wrong = []
        for name, path in modules().items():
            own = layer(name)
            if own not in PURE:
                continue
            for imported in sorted(network(imports(path, annotations=own != "interfaces"))):
                known = any(imported == allowed or imported.startswith(f"{allowed}.") for allowed in PURE[own])
                if not known and not any(allowed.startswith(f"{imported}.") for allowed in PURE[own]):
                    wrong.append(f"{name} ({own}) imports {imported}")
        self.assertEqual(wrong, [])

    def test_interfaces_stay_tiny(self) -> None:
        """Every plugin look-up imports them, with a cold cache before there is a reactor."""
        runtime = imports(modules()["craftnet.interfaces"], annotations=False)
        self.assertEqual(ours(runtime) | network(runtime), set())

    def test_nobody_imports_a_reactor_by_being_imported(self) -> None:
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
            "import twisted.plugins.craftnet_plugin, twisted.plugins.craftnet_backends, craftnet.registry\n"
            "print([name for name in sys.modules if name == 'twisted.internet.reactor'"
            " or name.startswith(('craftnet.providers', 'craftnet.service', 'craftnet.tap'))])"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        self.assertEqual((run.stdout.strip(), run.stderr), ("[]", ""))


class SuiteTests(SynchronousTestCase):
    def test_contracts_know_interfaces_only(self) -> None:
        """So that they can be run on any provider."""
        for suite in ("contracts.py", "contracts_cluster.py"):
            names = ours(imports(PACKAGE / "tests" / suite))
            self.assertLessEqual({layer(name) for name in names - {"craftnet"}}, {"core", "interfaces"})


class SizeTests(SynchronousTestCase):
    """A file has one job, and a function fits on a screen."""

    def test_files(self) -> None:
        lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
        self.assertEqual({name: length for name, length in lengths.items() if length > LONGEST_FILE}, {})

    def test_functions(self) -> None:
        long = {
            f"{name}.{node.name}": length
            for name, path in modules().items()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
        }
        self.assertEqual(long, {})


class NameTests(SynchronousTestCase):
    def test_names_say_something(self) -> None:
        paths = [path for path in PACKAGE.rglob("*") if path.is_dir() or path.suffix == ".py"]
        self.assertEqual([str(path) for path in paths if path.stem.lower() in EMPTY_NAMES], [])

    def test_plugin_folders_are_no_packages(self) -> None:
        """An `__init__.py` there would hide Twisted's own plugins, and every other project's."""
        plugins = REPOSITORY / "twisted" / "plugins"
        if not (REPOSITORY / "pyproject.toml").exists():
            raise SkipTest("not run from the repository")
        self.assertTrue((plugins / "craftnet_plugin.py").exists())
        self.assertEqual([folder for folder in (plugins, plugins.parent) if (folder / "__init__.py").exists()], [])


class ParsingTests(SynchronousTestCase):
    """The test's own eyes."""

    SOURCE = """
from typing import TYPE_CHECKING
import craftnet.model
if TYPE_CHECKING:
    from craftnet import hub
else:
    from craftnet.messages import Status
try:
    from twisted.internet import reactor
except ImportError:
    pass
def later():
    import craftnet.service
"""

    def seen(self, *, annotations: bool, functions: bool) -> set[str]:
        path = Path(self.mktemp())
        path.write_text(self.SOURCE)
        names = imports(path, annotations=annotations, functions=functions)
        return ours(names) | network(names)

    def test_all(self) -> None:
        seen = self.seen(annotations=True, functions=True)
        wanted = {"craftnet.hub", "craftnet.model", "craftnet.messages", "craftnet.service"}
        self.assertEqual(seen, wanted | {"twisted.internet", "twisted.internet.reactor"})

    def test_when_imported(self) -> None:
        seen = self.seen(annotations=False, functions=False)
        self.assertIn("twisted.internet.reactor", seen)
        self.assertEqual(ours(seen), {"craftnet.model", "craftnet.messages"})
