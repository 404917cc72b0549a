"""The house rules that a reviewer would otherwise have to check by eye."""

from __future__ import annotations

import ast
import subprocess
import sys
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
    "testing",
    "encoders",
    "targets",
    "flow",
    "losses",
    "recipe",
    "checkpoint",
    "blend",
    "images",
    "synthetic",
    "degradations",
    "data",
    "interop",
    "metrics",
    "training",
    "pages",
    "batch",
    "bench",
    "evaluation",
    "cli",
)
MODULES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))
INSIDE = [m for m in MODULES if m.parts[0] not in ("__init__.py", "__main__.py")]


def floor(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported(module: Path) -> set[str]:
    """Floors that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("flowkit.")}


def test_every_module_stands_on_a_floor():
    assert {floor(m) for m in INSIDE} == set(FLOORS)


@pytest.mark.parametrize("module", INSIDE, ids=str)
def test_imports_go_one_way(module):
    allowed = FLOORS[: FLOORS.index(floor(module)) + 1]
    assert imported(module) <= set(allowed)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_can_be_read_in_one_go(module):
    assert len((PACKAGE / module).read_text().splitlines()) <= 320


def test_python_dash_m_flowkit_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "flowkit", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "binarize" in done.stdout
