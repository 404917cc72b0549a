"""Figures in the docs are those of the files that `flowkit evaluate` and `flowkit bench` wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowkit.evaluation.contestants import Outcome
from flowkit.evaluation.results import Entry
from flowkit.evaluation.uncertainty import Uncertainty
from flowkit.metrics.dibco import SCORES, Truth

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
MODELS = sorted(path.parents[1].name for path in RESULTS.glob("*/results/evaluation.json"))


def evaluation(model: str) -> dict[str, Any]:
    return json.loads((RESULTS / model / "results" / "evaluation.json").read_text())


def bench(table: str, *keys: str) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = json.loads((RESULTS / f"{table}.json").read_text())["rows"]
    return {tuple(row[key] for key in keys): row for row in rows}


def mean(model: str, by: str, temperature: float | None, name: str = "") -> dict[str, float]:
    found = [
        row["mean"]
        for row in evaluation(model)["sets"]
        if (row["by"], row["temperature"]) == (by, temperature)
        and row["samples"] in (None, 1)
        and row["set"].endswith(name)
    ]
    return found[0]  # of several kinds of low resolution, the first is clean


def together(by: str, model: str = "binarize-fix", title: str = "Calibration") -> dict[str, float]:
    """What is found of all of the test pages together, by the model or by the classifier beside it."""
    [part] = [part for part in evaluation(model)["parts"] if part["title"].startswith(title)]
    [found] = [row for row in part["rows"] if row["set"] == "all" and row["by"].startswith(by)]
    return found


def errors(model: str) -> dict[str, float]:
    [part] = [part for part in evaluation(model)["parts"] if part["title"] == "Character error rate"]
    return {row["by"]: row["CER %"] for row in part["rows"] if row["set"] == part["rows"][0]["set"]}


def card_row(model: str, by: str, shown: str) -> str:
    temperature = float(shown.split()[1]) if by == model else None
    found, rate = mean(model, by, temperature), errors(model)
    cer = rate[by if temperature is None else f"{model}, T {temperature:g}"]
    return (
        f"| {shown} | {found['psnr']:.2f} | {found['text_psnr']:.2f} | {found['ssim']:.3f} | "
        f"{found['consistency']:.1f} | {cer:.2f} |"
    )


COLLECTION, PERFORMANCE = "docs/guides/binarize_a_collection.md", "docs/background/performance.md"
SUPER_RESOLVE = "docs/guides/super_resolve.md"
CARD, LESSONS = "flowkit/weights/binarize-fix.md", "docs/background/lessons.md"
READINGS = "flowkit/weights/readings-fix.md"
SENTENCES = [
    ("README.md", "{f[2011]:.1f} on DIBCO 2011, {f[2014]:.1f} on DIBCO 2014 and {f[2018]:.1f} on DIBCO 2018"),
    ("README.md", "assigns the true page {flow[page NLL]:.3f} nats per pixel"),
    ("README.md", "classifier with the same encoder {head[page NLL]:.3f}"),
    ("README.md", "(AURC {head[AURC]:.5f} against {flow[AURC]:.5f})"),
    ("README.md", "take {ours:.3g} s on one core, {naive:.3g} s without"),
    (SUPER_RESOLVE, "a PSNR of {x4[psnr]:.1f} dB (bicubic interpolation: {bicubic[psnr]:.1f})"),
    (SUPER_RESOLVE, "fall from {cer[bicubic]:.1f} % to {cer[super-resolve-x4, T 0]:.1f} %"),
    (SUPER_RESOLVE, "(at full resolution: {cer[high resolution]:.1f} %)"),
    (COLLECTION, "took {page[peak MB]:,.0f} MB where 2,000 MB were allowed"),
    (COLLECTION, "and {page[peak MB on the device]:,.0f} MB on the GPU"),
    (PERFORMANCE, "| {ours:.3g} s | {naive:.3g} s |"),
    (PERFORMANCE, "| {graph:.0f} ms | {launched:.1f} s |"),
    (PERFORMANCE, "16 steps a level | {kept[16]:.0f} MiB | {kept[naive]:,.0f} MiB |"),
    (PERFORMANCE, "64 steps a level | {kept[64]:.0f} MiB |"),
    (PERFORMANCE, "two cores: peak memory | {whole[peak MB]:.0f} MB |"),
    (PERFORMANCE, "one sample is {times[1 sample]:.1f} times as fast as the naive way, 64 samples"),
    (PERFORMANCE, "64 samples {times[64 samples]:.0f} times"),
    (
        PERFORMANCE,
        "a training step of 16 is {times[training step of 16]:.1f} times as fast as without a graph",
    ),
    (PERFORMANCE, "one of 4 {times[training step of 4]:.1f} times"),
    (CARD, "F-measure {f[2011]:.1f} against {by_head[2011]:.1f} on 2011"),
    (CARD, "{f[2018]:.1f} against {by_head[2018]:.1f} on 2018"),
    (CARD, "precision is {stained[precision]:.1f} and recall {stained[recall]:.1f}"),
    (CARD, "(recall {faint[recall]:.1f}, precision {faint[precision]:.1f})"),
    (CARD, "{flow[page NLL]:.3f} nats per pixel against {head[page NLL]:.3f}"),
    (
        CARD,
        "(NLL {head[NLL]:.4f} against {flow[NLL]:.4f} nats, AURC {head[AURC]:.5f} against {flow[AURC]:.5f})",
    ),
    (CARD, "on {flow[ink in interval %]:.0f} % of the pages (nominal: {flow[nominal %]:.0f} %)"),
    (READINGS, "{r[ink in interval %]:.0f} % of the 79 pages"),
    (READINGS, "(`binarize-fix`: {flow[ink in interval %]:.0f} %; nominal: {flow[nominal %]:.0f} %)"),
    (READINGS, "a median of {whole_pages[ink, deviations away]:.1f} standard deviations away"),
    (
        READINGS,
        "{rf[2011]:.1f}, {rf[2013]:.1f}, {rf[2014]:.1f}, {rf[2016]:.1f}, {rf[2017]:.1f} and {rf[2018]:.1f}",
    ),
    (READINGS, "{r[NLL]:.4f} nats per pixel ({flow[NLL]:.4f})"),
    (READINGS, "page {r[page NLL]:.3f} ({flow[page NLL]:.3f})"),
    (READINGS, "within the samples on {r[components in interval %]:.0f} % of the pages"),
    (
        LESSONS,
        "| {f[2011]:.2f} | {f[2013]:.2f} | {f[2014]:.2f} | {f[2016]:.2f} | {f[2017]:.2f} | {f[2018]:.2f} |",
    ),
]


def values() -> dict[str, Any]:
    models = bench("bench-cpu/model-cpu", "what", "variant")
    on_cuda = bench("bench-gpu/model-cuda", "what", "variant")
    years = (2011, 2013, 2014, 2016, 2017, 2018)
    ink = {year: mean("binarize-fix", "binarize-fix", 0.0, str(year)) for year in years}
    classifier = {
        year: mean("binarize-fix", "runs/head/model.safetensors", None, str(year)) for year in years
    }
    return {
        "f": {year: scores["f_measure"] for year, scores in ink.items()},
        "by_head": {year: scores["f_measure"] for year, scores in classifier.items()},
        "stained": ink[2018],
        "faint": ink[2016],
        "flow": together("binarize-fix"),
        "head": together("runs/head"),
        "r": together("readings-fix", "readings-fix"),
        "whole_pages": together("readings-fix", "readings-fix", "Samples of whole pages"),
        "rf": {year: mean("readings-fix", "readings-fix", 0.0, str(year))["f_measure"] for year in years},
        "ours": models["16 samples", "flowkit"]["s"],
        "naive": models["16 samples", "naive"]["s"],
        "times": {what: row["times as fast"] for (what, by), row in on_cuda.items() if "graph" in by},
        "graph": 1000 * on_cuda["64 samples", "flowkit, CUDA graph"]["s"],
        "launched": on_cuda["64 samples", "naive"]["s"],
        "kept": {k: models[f"training step of 4, K = {k}", "flowkit"]["kept MiB"] for k in (16, 64)}
        | {"naive": models["training step of 4", "naive"]["kept MiB"]},
        "whole": bench("bench-cpu/pages-cpu", "method")["16 samples",],
        "page": bench("bench-gpu/pages-cuda", "method")["16 samples",],
        "x4": mean("super-resolve-x4", "super-resolve-x4", 0.0),
        "bicubic": mean("super-resolve-x4", "bicubic", None),
        "cer": errors("super-resolve-x4"),
    }


def text(page: str) -> str:
    return " ".join((ROOT / page).read_text().split())


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_figures_in_prose_are_those_of_the_files(page, sentence):
    assert sentence.format_map(values()) in text(page)


@pytest.mark.parametrize("model", ["super-resolve-x2", "super-resolve-x4"])
def test_tables_of_cards_are_those_of_the_files(model):
    rows = [("bicubic", "bicubic"), (model, "temperature 0")]
    for by, shown in rows:
        assert card_row(model, by, shown) in text(f"flowkit/weights/{model}.md")


def test_kinds_of_low_resolution_in_the_card_are_those_of_the_file():
    [part] = [p for p in evaluation("super-resolve-x4")["parts"] if p["title"].startswith("Kinds")]
    for row in part["rows"]:
        _, _, floor, own, gain, *rates = row.values()
        scores = f"| {floor:.2f} | {own:.2f} | {gain:+.2f} | {rates[0]:.2f} | {rates[1]:.2f} |"
        assert scores in text("flowkit/weights/super-resolve-x4.md"), row


@pytest.mark.parametrize("model", MODELS)
def test_a_page_of_results_was_written_with_the_files_beside_it(model):
    text = (RESULTS / model / "results.md").read_text()
    found = evaluation(model)
    assert found["environment"]["command"] in text
    name = "f_measure" if "f_measure" in found["sets"][0]["mean"] else "cer"
    for row in found["sets"]:
        assert f"{row['mean'][name]:.2f} ± {row['deviation'][name]:.2f}" in text, row


def test_every_column_is_defined():
    text = (ROOT / "docs" / "reference" / "scores.md").read_text()
    truth = np.eye(8, dtype=bool)
    found = Uncertainty()
    found.add(Outcome(Entry("m"), truth, np.full(truth.shape, 0.5), np.stack([truth] * 2)), Truth(truth))
    for name in (*SCORES, *found.row()):
        wanted = "band ..." if name.startswith("band ") else name
        assert re.search(f"`{re.escape(wanted)}`", text), name
