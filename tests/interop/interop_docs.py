"""docs/reference/interop.md as the tests read it."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "interop.md"


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without backticks."""
    section = DOCS.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row.split("|")] for row in rows[2:]]
