"""Names of flowkit's parts, and paths of its files, in code and documents: what they name is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("flowkit", "tests", "docs", "examples", "recipes")
TEXTS = (".py", ".md", ".yaml", ".cpp", ".cu", ".cuh", ".h")
FILES = [path for part in PARTS for path in (ROOT / part).rglob("*") if path.suffix in TEXTS]
FILES += [*ROOT.glob("*.md"), *ROOT.glob("*.py"), ROOT / "pyproject.toml", ROOT / "mkdocs.yml"]

NAME = re.compile(r"`(flowkit(?:\.\w+)+)(?:\(.*?\))?`|^::: (flowkit(?:\.\w+)*)$", re.MULTILINE)
"""In backticks, with arguments or without; and what a page of the API shows."""
PLACE = re.compile(r"\b(?:flowkit|tests|examples)/(?:\w+/)*\w+\.py\b")


def is_there(name: str) -> bool:
    """Tell whether a dotted name is a module, or something in one.

    >>> is_there("flowkit.pages.binarize"), is_there("flowkit.pages.binarise")
    (True, False)
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("name", ["flowkit.flow", "flowkit.flow.ConditionalFlow.forward", "flowkit.build"])
def test_what_is_there_is_found(name):
    assert is_there(name)


@pytest.mark.parametrize("name", ["flowkit.path", "flowkit.flow.model.f", "flowkit.build.it"])
def test_what_is_not_there_is_missed(name):
    assert not is_there(name)


def test_names_in_backticks_resolve():
    found = {}
    for path in FILES:
        for match in NAME.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(match[1] or match[2], path.relative_to(ROOT))
    assert len(found) > 50
    assert {name: str(path) for name, path in found.items() if not is_there(name)} == {}


def test_files_that_are_named_exist():
    named = {}
    for path in FILES:
        for match in PLACE.finditer(path.read_text(encoding="utf-8")):
            named.setdefault(match[0], path.relative_to(ROOT))
    assert len(named) > 10
    assert {name: str(path) for name, path in named.items() if not (ROOT / name).is_file()} == {}
