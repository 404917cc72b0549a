from __future__ import annotations

import csv
import json
import math

import pytest

from flowkit.errors import OutputError
from flowkit.evaluation.report import Findings, Part
from flowkit.evaluation.results import Entry, Row, summaries

MODEL, OTHER = Entry("m", 1.0, 4), Entry("otsu")


@pytest.fixture
def findings() -> Findings:
    rows = [
        Row("s", "1", MODEL, {"f_measure": 90.0, "psnr": 20.0}),
        Row("s", "1", OTHER, {"f_measure": 80.0, "psnr": 15.0}),
        Row("s", "2", MODEL, {"f_measure": 94.0, "psnr": math.inf}),
        Row("s", "2", OTHER, {"f_measure": 81.5, "psnr": 14.0}),
        Row("t", "x|y", MODEL, {"f_measure": 70.0, "psnr": 10.0}),
        Row("t", "x|y", OTHER, {"f_measure": 60.0, "psnr": 9.0}),
    ]
    part = Part("Doubt", [{"set": "s", "NLL": 0.123456, "none": None, "nan": math.nan}], ["Read this."])
    return Findings("Title", rows, MODEL, [part], ["A note."], environment={"command": "flowkit x"})


def test_means_and_sample_deviations(findings):
    first, second, alone, _ = summaries(findings.rows)
    assert (first.set, first.entry, first.pages) == ("s", MODEL, 2)
    assert first.mean == {"f_measure": 92, "psnr": math.inf}
    assert first.deviation["f_measure"] == pytest.approx(math.sqrt(8))
    assert first.deviation["psnr"] is None  # there is none among infinite scores
    assert second.deviation["psnr"] == pytest.approx(math.sqrt(0.5))
    assert alone.deviation == {"f_measure": None, "psnr": None}  # nor of one page


def test_the_page_for_people(findings):
    lines = findings.markdown().splitlines()
    assert lines[:4] == ["# Title", "", "```", "flowkit x"]
    assert "A note." in lines
    assert "### s, 2 pages" in lines
    assert "### t, 1 page" in lines
    assert "| m, T 1, 4 samples | 92.00 ± 2.83 |          inf |" in lines
    assert "| otsu              | 80.75 ± 1.06 | 14.50 ± 0.71 |" in lines
    assert "- Read this." in lines
    assert "| s   | 0.1235 |      |     |" in lines
    assert "## Pages, m, T 1, 4 samples" in lines
    assert r"| t/x\|y |     70.00 | 10.00 |" in lines


def test_files_for_programs(findings, tmp_path):
    paths = findings.save(tmp_path / "new")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "new/results/evaluation.json",
        "new/results/evaluation-pages.csv",
        "new/results/evaluation-sets.csv",
        "new/results.md",
    ]
    data = json.loads(paths[0].read_text())
    assert data["sets"][0]["mean"] == {"f_measure": 92.0, "psnr": "inf"}
    assert data["sets"][0] | {"mean": 0, "deviation": 0} == {
        "set": "s", "by": "m", "temperature": 1.0, "samples": 4, "pages": 2, "mean": 0, "deviation": 0,
    }  # fmt: skip
    assert data["parts"][0]["rows"] == [{"set": "s", "NLL": 0.123456, "none": None, "nan": None}]
    assert len(data["pages"]) == 6
    pages = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert pages[2] == {
        "set": "s", "page": "2", "by": "m", "temperature": "1.0", "samples": "4", "f_measure": "94.0",
        "psnr": "inf",
    }  # fmt: skip
    sets = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert float(sets[1]["psnr_sd"]) == pytest.approx(math.sqrt(0.5))
    assert sets[0]["psnr_sd"] == ""
    assert list(sets[0]) == [
        "set", "by", "temperature", "samples", "pages", "f_measure", "f_measure_sd", "psnr", "psnr_sd",
    ]  # fmt: skip


def test_a_place_that_cannot_be_written_to(findings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        findings.save(tmp_path / "file")
