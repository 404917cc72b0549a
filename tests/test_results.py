"""Figures in the docs are those that `flowkit evaluate` found, in the files that it wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.results import Entry
from flowkit.evaluation.uncertainty import Uncertainty
from flowkit.metrics.dibco import SCORES, Truth

DOCS = Path(__file__).parent.parent / "docs"
FOUND = json.loads((DOCS / "results" / "binarize" / "results" / "evaluation.json").read_text())
SETS = [row for row in FOUND["sets"] if (row["by"], row["temperature"]) == ("binarize", 0.0)]


def test_the_page_of_results_was_written_with_the_files_beside_it():
    text = (DOCS / "results" / "binarize" / "results.md").read_text()
    assert FOUND["environment"]["command"] in text
    for row in FOUND["sets"]:
        cell = f"{row['mean']['f_measure']:.2f} ± {row['deviation']['f_measure']:.2f}"
        assert cell in text, row


def test_the_readme_says_what_was_found():
    assert len(SETS) == 6
    readme = (DOCS.parent / "README.md").read_text().replace("\n", " ")
    means = {row["set"].removeprefix("dibco/"): row["mean"]["f_measure"] for row in SETS}
    for year in ("2011", "2014", "2018"):
        assert re.search(rf"{means[year]:.1f} on DIBCO {year}", readme), year


def test_the_readmes_other_figures_are_those_of_the_tables():
    readme = (DOCS.parent / "README.md").read_text()
    models, pages, on_cuda = (
        {
            tuple(row[key] for key in keys): row
            for row in json.loads((DOCS / "results" / name).read_text())["rows"]
        }
        for name, keys in (
            ("bench-cpu/model-cpu.json", ("what", "variant")),
            ("bench-cpu/pages-cpu.json", ("method",)),
            ("bench-gpu/model-cuda.json", ("what", "variant")),
        )
    )
    ours, naive = (models["16 samples", by]["s"] for by in ("flowkit", "naive"))
    assert f"take {ours:.3g} s, and {naive:.3g} s where" in readme
    graph, launched = (on_cuda["64 samples", by]["s"] for by in ("flowkit, CUDA graph", "naive"))
    assert f"64 samples in {1000 * graph:.0f} ms, and {launched:.1f} s the naive way" in readme
    kept = [models[f"training step of 4, K = {k}", "flowkit"]["kept MiB"] for k in (16, 64)]
    plain = models["training step of 4", "naive"]["kept MiB"]
    assert "{:.0f} MiB kept at 16 steps a level, {:.0f} MiB at 64".format(*kept) in readme
    assert f"(the naive way: {plain:,.0f} MiB at 16)" in readme
    assert f"16 samples, {pages['16 samples',]['peak MB']:.0f} MB at most" in readme


def test_every_column_is_defined():
    text = (DOCS / "reference" / "scores.md").read_text()
    truth = np.eye(8, dtype=bool)
    found = Uncertainty()
    found.add(Outcome(Entry("m"), truth, np.full(truth.shape, 0.5), np.stack([truth] * 2)), Truth(truth))
    for name in (*SCORES, *found.row()):
        wanted = "band ..." if name.startswith("band ") else name
        assert f"`{wanted}`" in text, name
