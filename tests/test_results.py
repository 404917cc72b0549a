"""Figures in the docs are those that the committed output of the command says."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_table_of_the_models_page_is_the_output_of_evaluate():
    printed = {}
    for line in (DOCS / "results" / "binarize.txt").read_text().splitlines():
        if found := re.match(r"mean of (\d+) in dibco/(\d+) +(.*)", line):
            printed[found[2]] = [found[1], *found[3].split()]
    table = re.findall(r"^\| DIBCO (\d+) \| (.*) \|$", (DOCS / "models.md").read_text(), re.MULTILINE)
    assert {year: row.split(" | ") for year, row in table} == printed
    assert len(printed) == 6
    readme = (DOCS.parent / "README.md").read_text().replace("\n", " ")
    for year in ("2011", "2014", "2018"):
        assert re.search(rf"{float(printed[year][1]):.1f} on DIBCO {year}", readme), year
