"""Private parts of libraries: that each is used in one module only, and is still there in the installed version.

Autobahn's, of which there are many, have tests of their own in
`craftnet/tests/protocols/websocket/server/test_autobahn_base.py`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NamedTuple

import txredisapi  # type: ignore[import-untyped]  # it has no types.
from autobahn.twisted.websocket import WebSocketServerProtocol
from prometheus_client import mmap_dict, multiprocess, utils
from twisted.internet import abstract, tcp
from twisted.trial.unittest import SynchronousTestCase

import craftnet

PACKAGE = Path(craftnet.__file__).parent

OWN = {"_replace", "_asdict", "_exit"}
"""Names with an underscore that are public: of named tuples, and `os._exit`."""

UNDOCUMENTED = {"prometheus_client.mmap_dict", "prometheus_client.utils", "prometheus_client.values"}
"""Modules of prometheus-client that its documentation does not name."""


class Part(NamedTuple):
    """A private part of a library, and the module of craftnet that may use it.

    Attributes:
        package: as it is installed.
        name: where it is, for people.
        found: whether it is still there.
    """

    package: str
    name: str
    module: str
    found: Callable[[], bool]


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


REACTOR: Any = object()
"""Given to transports, so that they do not install one."""

TRANSMIT = "craftnet.runtime.sockets"
FIGURES = "craftnet.observe.metrics.process_files"
ENGINE = "craftnet.protocols.websocket.server.autobahn_base"
COMPLETION = "craftnet.client.completion"
LINK = "craftnet.providers.redis.connection"

PARTS = (
    *(
        Part(
            "twisted",
            f"twisted.internet.abstract.FileDescriptor().{name}",
            TRANSMIT,
            lambda name=name: hasattr(abstract.FileDescriptor(REACTOR), name),  # type: ignore[misc]  # name is bound.
        )
        for name in ("_tempDataBuffer", "dataBuffer", "connected", "disconnecting", "bufferSize")
    ),
    Part("twisted", "twisted.internet.tcp.Server.TLS", TRANSMIT, lambda: hasattr(tcp.Server, "TLS")),
    Part("twisted", "twisted.internet.tcp.Port._logger", TRANSMIT, lambda: hasattr(tcp.Port, "_logger")),
    Part(
        "autobahn",
        "WebSocketServerProtocol._closeConnection(abort)",
        ENGINE,
        lambda: parameters(WebSocketServerProtocol._closeConnection) == ["self", "abort"],
    ),
    Part(
        "txredisapi",
        "txredisapi.BaseRedisProtocol._build_command",
        LINK,
        lambda: "_build_command" in inspect.getsource(txredisapi.BaseRedisProtocol.execute_command),
    ),
    Part(
        "prometheus-client",
        "prometheus_client.mmap_dict.mmap_key(metric_name, name, labelnames, labelvalues, help_text)",
        FIGURES,
        lambda: parameters(mmap_dict.mmap_key) == ["metric_name", "name", "labelnames", "labelvalues", "help_text"],
    ),
    *(
        Part(
            "prometheus-client",
            f"prometheus_client.mmap_dict.MmapedDict.{name}({', '.join(arguments)})",
            FIGURES,
            lambda name=name, arguments=arguments: (  # type: ignore[misc]  # both are bound.
                hasattr(mmap_dict.MmapedDict, name)
                and parameters(getattr(mmap_dict.MmapedDict, name)) == ["self", *arguments]
            ),
        )
        for name, arguments in {
            "read_value": ["key"],
            "write_value": ["key", "value", "timestamp"],
            "close": [],
        }.items()
    ),
    Part(
        "prometheus-client",
        "prometheus_client.multiprocess.mark_process_dead(pid, path)",
        FIGURES,
        lambda: parameters(multiprocess.mark_process_dead) == ["pid", "path"],
    ),
    Part(
        "prometheus-client",
        "prometheus_client.utils.floatToGoString",
        FIGURES,
        lambda: utils.floatToGoString(0.005) == "0.005" and utils.floatToGoString(float("inf")) == "+Inf",
    ),
    Part(
        "Python",
        "argparse.ArgumentParser()._actions, argparse._SubParsersAction",
        COMPLETION,
        lambda: hasattr(argparse.ArgumentParser(), "_actions") and hasattr(argparse, "_SubParsersAction"),
    ),
)

INHERITED = {
    # (module, name): a private method or attribute of a base class from a library.
    (ENGINE, "_closeConnection"),
    (LINK, "_build_command"),
}

TOUCHED = {
    # (module, name): a private attribute of something else than self.
    (COMPLETION, "_actions"),
    (COMPLETION, "_SubParsersAction"),
    (TRANSMIT, "_tempDataBuffer"),
    (TRANSMIT, "_logger"),
}


LIBRARIES = {"twisted", "autobahn", "prometheus_client", "txredisapi"}
"""Libraries whose classes the package inherits from."""


@cache
def sources() -> Mapping[str, ast.Module]:
    """The syntax of every module of the package but the tests."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith("craftnet.tests"):
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OWN and name != "_"


def defined(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives to attributes, slots, methods, functions, and fields of classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


class UpgradeTests(SynchronousTestCase):
    def test_parts_are_there(self) -> None:
        for part in PARTS:
            if not part.found():
                self.fail(
                    f"{part.package} {version(part.package)} has no {part.name} as {part.module} uses it:"
                    f" change that module, and this test, or stay with the version before"
                )


class OneModuleTests(SynchronousTestCase):
    def test_nothing_else_is_touched(self) -> None:
        """A private attribute of another object is one that this package defines itself, or one of `TOUCHED`."""
        trees = sources()
        ours = {name for tree in trees.values() for name in defined(tree)}
        touched = {
            (module, node.attr)
            for module, tree in trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and private(node.attr) and not is_self(node.value)
            if node.attr not in ours or (module, node.attr) in TOUCHED
        }
        self.assertEqual({each for each in touched if not layouts(each)}, TOUCHED)

    def test_nothing_else_is_inherited(self) -> None:
        """A private attribute of self that a library's class has too is one of `INHERITED`."""
        found = {
            (module.__name__, name)
            for module in modules()
            for kind in vars(module).values()
            if inspect.isclass(kind) and kind.__module__ == module.__name__
            for name in inherited(kind)
        }
        self.assertEqual(found, INHERITED)

    def test_undocumented_modules(self) -> None:
        users = {
            module
            for module, tree in sources().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            if {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)} & UNDOCUMENTED
        }
        self.assertEqual(users, {FIGURES})


def layouts(touched: tuple[str, str]) -> bool:
    """Whether it is construct's way of writing an expression: `this._`."""
    return touched[0] == "craftnet.protocols.wire.layouts"


def modules() -> Iterator[ModuleType]:
    for found in walk_packages(craftnet.__path__, "craftnet."):
        if not found.name.startswith("craftnet.tests") and not found.name.endswith("__main__"):
            yield import_module(found.name)


def inherited(kind: type) -> Iterator[str]:
    """The private names that the body of a class uses, and that a class of a library among its bases has, too."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.split(".")[0] in LIBRARIES]
    if bases:  # getting the source of a class takes long.
        used = names_used(kind)
        for base in bases:
            yield from filter(private, used & (names_used(base) | set(vars(base))))


@cache
def names_used(kind: type) -> set[str]:
    """The attributes of self that the body of a class names, and its methods."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind)))))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute) and is_self(node.value)}
    return attributes | {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
