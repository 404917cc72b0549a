"""The house rules that a reviewer would otherwise have to check by eye."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flowkit"

# From the ground up: each may import only what stands before it (and itself).
FLOORS = (
    "errors",
    "registry",
    "files",
    "device",
    "malloc",
    "plugins",
    "tables",
    "ops",
    "layers",
    "encoders",
    "testing",
    "targets",
    "flow",
    "losses",
    "recipe",
    "hub",
    "checkpoint",
    "pretrained",
    "export",
    "blend",
    "images",
    "synthetic",
    "degradations",
    "data",
    "interop",
    "metrics",
    "training",
    "pages",
    "ocrmypdf",
    "ocrd",
    "batch",
    "bench",
    "evaluation",
    "view",
    "cli",
)
MODULES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))
INSIDE = [m for m in MODULES if m.parts[0] not in ("__init__.py", "__main__.py")]


@functools.cache
def parsed(module: Path) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text())


def floor(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """Dotted names below `flowkit` that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("flowkit.")}


def imported(module: Path) -> set[str]:
    """Floors that a module imports."""
    return {name.split(".")[1] for name in imports(module)}


def test_every_module_stands_on_a_floor():
    assert {floor(m) for m in INSIDE} == set(FLOORS)


@pytest.mark.parametrize("module", INSIDE, ids=str)
def test_imports_go_one_way(module):
    allowed = FLOORS[: FLOORS.index(floor(module)) + 1]
    assert imported(module) <= set(allowed)


def test_imports_never_go_in_a_circle():
    named = {".".join(("flowkit", *m.with_suffix("").parts)).removesuffix(".__init__"): m for m in MODULES}
    edges = {}
    for name, module in named.items():
        # a name is a module, or stands in one
        targets = {n if n in named else n.rpartition(".")[0] for n in imports(module)}
        edges[name] = targets - {name}
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


def private_names(tree: ast.Module) -> set[str]:
    """Private names that a module defines: functions, classes, variables, attributes of self."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


def is_own(node: ast.Attribute) -> bool:
    """Whether it is an attribute of self, of the class, or of a base class by `super()`."""
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "super")


def test_modules_keep_out_of_each_others_private_parts():
    trees = {module: parsed(module) for module in MODULES}
    own = {module: private_names(tree) for module, tree in trees.items()}
    known = set().union(*own.values())  # names of other libraries are not ours to rename
    found = []
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowkit"):
                found += [f"{module}:{node.lineno}: {a.name}" for a in node.names if is_private(a.name)]
            elif isinstance(node, ast.Attribute) and node.attr in known - own[module] and not is_own(node):
                found.append(f"{module}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


MAKERS = ("__init__", "__post_init__")  # what they raise is said in the docstring of the class


def unsaid(body: list[ast.stmt], owner: str = "") -> list[str]:
    """Public functions that raise an error and whose docstring, or whose class's, does not say so."""
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef) and not is_private(node.name):
            found += unsaid(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef) and (node.name in MAKERS or node.name[0] != "_"):
            said = (ast.get_docstring(node) or "") + owner * (node.name in MAKERS)
            raised = [n.exc for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc]
            errors = {name.id for error in raised for name in ast.walk(error) if isinstance(name, ast.Name)}
            if errors - {"NotImplementedError"} and "Raise" not in said and not said.startswith("See `"):
                found.append(f"{node.lineno}: {node.name}")
    return found


@pytest.mark.parametrize("module", [m for m in INSIDE if floor(m) != "cli"], ids=str)
def test_public_functions_say_what_they_raise(module):
    assert unsaid(parsed(module).body) == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_can_be_read_in_one_go(module):
    assert len((PACKAGE / module).read_text().splitlines()) <= 320


def test_python_dash_m_flowkit_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "flowkit", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "binarize" in done.stdout
