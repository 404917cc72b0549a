"""Docstrings name the thing, or begin with a verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "flowkit"
RIDDLE = re.compile(r"(What|Of|Whether|How|Where|Which|Why|When|That)\b")
NO_VERB = re.compile(r"(The|A|An|Every|All|Each|Both|One|Two|As|So|It|In|After|This|Everything|Whatever)\b")


def docstrings(path: Path) -> list[tuple[int, str]]:
    """The line and the text of every string that stands alone as a statement."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr)]
    strings = [node for node in found if isinstance(node.value, ast.Constant)]
    return [(node.lineno, node.value.value) for node in strings if isinstance(node.value.value, str)]


def of_functions(path: Path) -> list[tuple[int, str]]:
    """The line and the docstring of every function that has one."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return [(node.lineno, ast.get_docstring(node) or "") for node in nodes]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_docstrings_begin_plainly(path):
    wrong = [found for found in docstrings(path) if RIDDLE.match(found[1])]
    wrong += [found for found in of_functions(path) if NO_VERB.match(found[1])]
    assert not [f"{path.name}:{line}: {text[:60]}" for line, text in wrong]
