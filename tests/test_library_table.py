"""The table of docs/background/libraries.md: every yes of flowkit names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "background" / "libraries.md"
ROWS = [line.strip("| ").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
ROWS = [[cell.strip() for cell in row] for row in ROWS if not row[0].strip().startswith(("**", "flowkit"))]


def test_every_yes_has_its_test():
    claims = [row for row in ROWS if row[1].startswith(("yes", "part"))]
    assert len(claims) > 20
    for row in claims:
        file, name = re.fullmatch(r"`(\S+)::(\w+)`", row[7]).groups()
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(), row[0]


def test_every_part_is_explained():
    parts = {number for row in ROWS for cell in row for number in re.findall(r"^part \((\d+)\)$", cell)}
    notes = PAGE.read_text().rpartition("|\n")[2]
    assert parts == set(re.findall(r"(?:^|\s)(\d+)\. ", notes))
    cells = {cell for row in ROWS for cell in row[1:7]}
    assert cells <= {"yes", "-", "n/a", "not tried", *(f"part ({number})" for number in parts)}
