"""Which parts of the package import which: the picture of the layers, drawn from the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import craftnet

PACKAGE = Path(craftnet.__file__).parent
SPLIT = {"protocols", "protocols.udp", "protocols.websocket", "http"}
"""Packages that are drawn as their parts, which are layers of their own."""
LEFT_OUT = {"tests", "__init__", "errors", "clocks", "interfaces", "runtime", *SPLIT - {"http"}}
"""The tests, what every part imports, and folders that only hold others."""


def part(module: str) -> str:
    """The box of the picture that a module, ``craftnet.feeds.hub``, is in: ``feeds``."""
    names = module.split(".")[1:]
    box = names[0] if names else "__init__"
    for name in names[1:]:
        if box not in SPLIT or not PACKAGE.joinpath(*box.split("."), name).is_dir():
            break
        box = f"{box}.{name}"
    return box


def imports(path: Path) -> Iterator[str]:
    """The modules of craftnet that a file imports when it runs, wherever in the file; not for annotations alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("craftnet."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "craftnet":
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if _is_module(submodule) else node.module


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def graph() -> dict[str, set[str]]:
    """Each part, and the parts that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        box = part(module)
        if box not in LEFT_OUT:
            found.setdefault(box, set()).update(map(part, imports(path)))
    return {box: {other for other in others if other in found and other != box} for box, others in found.items()}


def reduced(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without arrows that follow from others. Raises graphlib.CycleError for a circle."""
    below: dict[str, set[str]] = {}
    for box in TopologicalSorter(edges).static_order():
        below[box] = set().union(*(below[other] | {other} for other in edges[box]))
    return {
        box: {other for other in others if not any(other in below[third] for third in others)}
        for box, others in edges.items()
    }


def picture() -> str:
    """A Mermaid flowchart; arrows lead from what imports to what is imported."""
    edges = reduced(graph())
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {_id(box)}["{box.replace(".", "/")}"]' for box in sorted(edges)]
    lines += [f"    {_id(box)} --> {_id(other)}" for box in sorted(edges) for other in sorted(edges[box])]
    return "\n".join([*lines, "```"])


def _id(box: str) -> str:
    return box.replace(".", "_")
