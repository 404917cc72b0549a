"""Docstrings name the thing, or begin with a verb."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "flowkit"
RIDDLE = re.compile(r"(What|Of|Whether|How|Where|Which|Why|When|That)\b")


def docstrings(path: Path) -> list[tuple[int, str]]:
    """The line and the text of every string that stands alone as a statement."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr)]
    strings = [node for node in found if isinstance(node.value, ast.Constant)]
    return [(node.lineno, node.value.value) for node in strings if isinstance(node.value.value, str)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_docstring_is_a_relative_clause(path):
    riddles = [f"{path.name}:{line}: {text[:60]}" for line, text in docstrings(path) if RIDDLE.match(text)]
    assert not riddles
