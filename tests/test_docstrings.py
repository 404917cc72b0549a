"""Docstrings name the thing, or begin with a verb; all prose is in plain English."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flowkit"
SOURCES = sorted(PACKAGE.rglob("*.py"))
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGE.glob("weights/*.md")]
DOCUMENTS = [path for path in DOCUMENTS if path.name != "results.md"]  # those are written by flowkit
RIDDLE = re.compile(r"(What|Of|Whether|How|Where|Which|Why|When|That)\b")
NO_VERB = re.compile(r"(The|A|An|Every|All|Each|Both|One|Two|As|So|It|In|After|This|Everything|Whatever)\b")

STRANGE = re.compile(
    r"(?:^|[.!?] )Of (?!course)[\w`].{,40}"  # "Of 16 samples, the page is ..."
    r"|(?i:\b(?:anew|whoever|somebody|nobody|likewise|for ever|made older|sa(?:y|ys|id) so)\b).{,40}"
)
"""Turns of phrase that had to be read twice."""


def docstrings(path: Path) -> list[tuple[int, str]]:
    """The line and the text of every string that stands alone as a statement."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr)]
    strings = [node for node in found if isinstance(node.value, ast.Constant)]
    return [(node.lineno, node.value.value) for node in strings if isinstance(node.value.value, str)]


def of_functions(path: Path) -> list[tuple[int, str]]:
    """The line and the docstring of every function that has one."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return [(node.lineno, ast.get_docstring(node) or "") for node in nodes]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_plainly(path):
    wrong = [found for found in docstrings(path) if RIDDLE.match(found[1])]
    wrong += [found for found in of_functions(path) if NO_VERB.match(found[1])]
    assert not [f"{path.name}:{line}: {text[:60]}" for line, text in wrong]


def comments(path: Path) -> list[tuple[int, str]]:
    """The line and the text of every comment."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return [(token.start[0], token.string.lstrip("# ")) for token in tokens if token.type == tokenize.COMMENT]


def prose(path: Path) -> list[tuple[int, str]]:
    """The line and the text of every paragraph of a document, without its code."""
    text = re.sub(
        r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), path.read_text(), flags=re.M | re.S
    )
    found = re.finditer(r"(?:^.+\n?)+", text, re.MULTILINE)
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in found]


def strange(texts: list[tuple[int, str]]) -> list[str]:
    found = [(line, STRANGE.search(" ".join(text.split()))) for line, text in texts]
    return [f"{line}: {match[0]}" for line, match in found if match]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_and_comments_are_plain(path):
    assert strange(docstrings(path) + comments(path)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_are_plain(path):
    assert strange(prose(path)) == []


@pytest.mark.parametrize("text", ["Of 16 samples, one.", "Pages. Of a\nTIFF, the first.", "It says so."])
def test_strange_turns_are_found(text):
    assert strange([(1, text)])


@pytest.mark.parametrize("text", ["Of course.", "A share of 16 samples.", "It is drawn again."])
def test_plain_ones_are_not(text):
    assert not strange([(1, text)])
