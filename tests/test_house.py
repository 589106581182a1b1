"""The layout of the package: three wings, arrows that point down, nothing in circles.

docs/ARCHITECTURE.md says what the wings are for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import licodec

PACKAGE = Path(licodec.__file__).parent
MAKE = ("networks", "compiler", "packing", "fmpq")  # each may import those before it
MAKE_ALONE = {"torch", "compressai", "torchvision"}  # what only the make wing may import
TORCH_BACKENDS = "licodec.exact.backends"
LONGEST_FUNCTION, LONGEST_FILE = 60, 500  # lines


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imported(path: Path) -> Iterator[str]:
    """Names of all modules that a file imports anywhere, those for type checking alone left out."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


GRAPH: Mapping[str, frozenset[str]] = {
    name: frozenset(_imported(path)) for name, path in MODULES.items()
}


def _wing(module: str) -> int:
    """0 for the run wing, 1 for the make wing, 2 for the command line."""
    folder = (*module.split("."), "")[1]
    if folder in ("cli", "__main__"):
        return 2
    return 1 if folder in MAKE else 0


def _arrows() -> Iterator[tuple[str, str]]:
    for name, imported in GRAPH.items():
        yield from ((name, other) for other in imported if other in MODULES)


def test_arrows_point_down_only() -> None:
    up = [(a, b) for a, b in _arrows() if _wing(a) < _wing(b)]
    assert up == []


def test_the_make_wing_has_floors() -> None:
    def floor(module: str) -> int:
        return MAKE.index(module.split(".")[1])

    up = [(a, b) for a, b in _arrows() if _wing(a) == _wing(b) == 1 and floor(a) < floor(b)]
    assert up == []


def test_no_import_circle() -> None:
    # A package's face hands names on: its own arrows are those of the modules behind it.
    arrows = {
        name: {other for other in imported if other in MODULES and other != name}
        for name, imported in GRAPH.items()
    }
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_run_wing_does_without_torch() -> None:
    wrong = [
        (name, other)
        for name, imported in GRAPH.items()
        if _wing(name) == 0 and not name.startswith(TORCH_BACKENDS)
        for other in imported
        if other.split(".")[0] in MAKE_ALONE
    ]
    assert wrong == []


@pytest.mark.parametrize("name", MODULES)
def test_rooms_are_small(name: str) -> None:
    text = MODULES[name].read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    long = [
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION - 1
    ]
    assert long == []
