"""Tables of docs/results/index.md, from the files that `flowkit evaluate --out docs/results/MODEL` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"

Rows = list[list[str]]


def found(model: str) -> dict[str, Any]:
    """Return everything that was found about a model."""
    values: dict[str, Any] = json.loads((RESULTS / model / "results" / "evaluation.json").read_text())
    return values


def models(score: str) -> Iterator[str]:
    """Yield the models with results that have a score: `f_measure`, or `psnr` without it."""
    for folder in sorted(path.parents[1] for path in RESULTS.glob("*/results/evaluation.json")):
        if score in found(folder.name)["sets"][0]["mean"]:
            yield folder.name


def binarization() -> Rows:
    """Return the scores of every set at temperature 0, and the best classical method's F-measure."""
    rows = [["set", "pages", "model", "F-measure", "PSNR", "DRD", "best classical method"]]
    for model in models("f_measure"):
        sets = found(model)["sets"]
        for row in sets:
            if (row["by"], row["temperature"]) != (model, 0.0):
                continue
            # A trained network beside the model is named by its file.
            classical = [
                r for r in sets if r["set"] == row["set"] and r["temperature"] is None and "/" not in r["by"]
            ]
            best = max(classical, key=lambda r: r["mean"]["f_measure"], default=None)
            mean = row["mean"]
            scores = [f"{mean['f_measure']:.1f}", f"{mean['psnr']:.1f}", f"{mean['drd']:.2f}"]
            rival = "" if best is None else f"{best['by']}: {best['mean']['f_measure']:.1f}"
            rows.append([row["set"], str(row["pages"]), model, *scores, rival])
    return rows


SHOWN = {
    "page NLL": 4,
    "NLL": 4,
    "Brier": 4,
    "ECE %": 2,
    "AURC": 5,
    "ink in interval %": 0,
    "components in interval %": 0,
    "nominal %": 0,
}
BESIDE = {"head": "the pixel-wise classifier", "ssn": "Stochastic Segmentation Network, 16 samples"}
"""What trained networks beside a model are called, by what their file's path contains."""


def probability() -> Rows:
    """Return what the probabilities of all sets together are worth, beside those of other networks."""
    rows = [["by", *SHOWN]]
    for model in models("f_measure"):
        [part] = [p for p in found(model)["parts"] if p["title"].startswith("Calibration")]
        for row in part["rows"]:
            if row["set"] == "all":
                [by] = [shown for part, shown in BESIDE.items() if part in row["by"]] or [row["by"]]
                rows.append([by, *(f"{row[name]:.{digits}f}" for name, digits in SHOWN.items())])
    return rows


def super_resolution() -> Rows:
    """Return PSNR, SSIM, consistency and character errors, beside bicubic interpolation's."""
    rows = [["model", "by", "PSNR", "of text", "SSIM", "consistency", "character errors, %"]]
    for model in models("text_psnr"):
        values = found(model)
        [errors] = [part["rows"] for part in values["parts"] if part["title"] == "Character error rate"]
        clean = values["sets"][0]["set"]  # the others are of other kinds of low resolution
        rates = {row["by"]: row["CER %"] for row in errors if row["set"] == clean}
        for row in values["sets"]:
            if row["set"] != clean or row["samples"] not in (None, 1) or row["temperature"] == 1:
                continue
            by = row["by"] if row["temperature"] is None else f"temperature {row['temperature']:g}"
            rate = rates[row["by"] if row["temperature"] is None else f"{model}, T {row['temperature']:g}"]
            shown = {"psnr": 2, "text_psnr": 2, "ssim": 3, "consistency": 1}
            scores = [f"{row['mean'][k]:.{d}f}" if k in row["mean"] else "" for k, d in shown.items()]
            rows.append([model, by, *scores, f"{rate:.2f}"])
    return rows


def low_resolution() -> Rows:
    """Return the scores at every kind of low resolution, beside bicubic interpolation's."""
    head = ["model", "small image", "PSNR: bicubic", "model", "gain", "character errors, %: bicubic", "model"]
    rows = [head]
    for model in models("text_psnr"):
        for part in found(model)["parts"]:
            if part["title"] == "Kinds of low resolution":
                for row in part["rows"]:
                    kind, floor, own, gain, *rates = list(row.values())[1:]
                    scores = [f"{floor:.2f}", f"{own:.2f}", f"{gain:+.2f}", *(f"{r:.2f}" for r in rates)]
                    rows.append([model, kind, *scores])
    return rows


def tools() -> Rows:
    """Return the scores and times of other programs, which `docs/site/tools.py` wrote."""
    values = json.loads((RESULTS / "tools.json").read_text())
    rows, size = values["rows"], values["megapixels"]
    one = rows["doxapy sauvola"]["seconds"]
    table = [["", "F-measure", "seconds per megapixel", "times Sauvola's"]]
    for by, row in rows.items():
        took = row["seconds"]
        table.append([by, f"{row['f_measure']:.1f}", f"{took / size:.2f}", f"{took / one:.0f}"])
    return table


TABLES: dict[str, Callable[[], Rows]] = {
    "binarization": binarization,
    "probability": probability,
    "super-resolution": super_resolution,
    "low-resolution": low_resolution,
    "tools": tools,
}
"""By the names that pages have for them."""
