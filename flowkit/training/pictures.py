"""Pictures of a run: samples on validation windows, and the curves of its log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.files import replacing
from flowkit.flow import ConditionalFlow
from flowkit.training.data_order import seed_of
from flowkit.training.log import LOG, read_log
from flowkit.training.validation import Validation

SAMPLES, CURVES = "samples.png", "curves.png"
TEMPERATURES = (0.0, 0.5, 0.8, 1.0)
ROWS = 4  # windows
DRAWS = 8  # samples behind P(ink)
GAP = 4  # pixels between pictures


@torch.no_grad()
def sample_grid(model: ConditionalFlow, validation: Validation, device: torch.device) -> np.ndarray:
    """Draw a row for each of a few windows: input, samples at rising temperatures, P(ink) if binary, truth.

    Returns (H, W, 3), 8-bit. The noise is the same every time.
    """
    windows = validation.windows
    rows = []
    for number in np.linspace(0, len(windows) - 1, min(ROWS, len(windows))).round().astype(int):
        window = windows[number]
        p = model(window.image[None].to(device))
        noise = torch.Generator(device).manual_seed(seed_of(0, int(number)))
        samples = [p.sample(temperature=t, generator=noise)[0, 0] for t in TEMPERATURES]
        if validation.binary:
            share = p.sample(DRAWS, generator=noise).mean(0)[0]
            cells = [1 - cell for cell in (*samples, share, window.target)]  # ink is black
        else:
            cells = [*samples, window.target]
        size = window.target.shape[-2:]
        image = F.interpolate(window.image[None], size=size, mode="nearest")[0]
        rows.append([_pixels(cell) for cell in (image, *cells)])
    return _tile(rows)


def write_curves(out: Path) -> None:
    """Draw a run's log into `curves.png`: a panel for each figure with several values."""
    from matplotlib.figure import Figure  # slow to import, and needed once per run

    lines = read_log(out / LOG)
    names = ("bits_per_dim", "gradient", "f_measure", "psnr", "learning_rate", "steps_per_s")
    panels = [name for name in names if any(name in line or f"validation_{name}" in line for line in lines)]
    figure = Figure(figsize=(9, 2.6 * max(1, len(panels))), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(max(1, len(panels)))), panels, strict=False):
        for key, label in ((name, "training"), (f"validation_{name}", "validation")):
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else "")
        axes.set_ylabel(name.replace("_", " "))
        axes.set_xlabel("step")
        axes.legend()
    with replacing(out / CURVES) as draft:
        figure.savefig(draft, format="png", dpi=110)


def _pixels(image: Tensor) -> np.ndarray:
    """Turn (C, H, W) in [0, 1] into (H, W, 3), 8-bit."""
    levels = (255 * image.float().clamp(0, 1)).round().byte().cpu()
    shown = levels[:3] if levels.shape[0] >= 3 else levels[:1]  # further channels cannot be shown
    return shown.expand(3, -1, -1).permute(1, 2, 0).numpy()


def _tile(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    height = max(cell.shape[0] for row in rows for cell in row) + GAP
    width = max(cell.shape[1] for row in rows for cell in row) + GAP
    sheet = np.full((height * len(rows) - GAP, width * max(map(len, rows)) - GAP, 3), 128, np.uint8)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            sheet[i * height : i * height + cell.shape[0], j * width : j * width + cell.shape[1]] = cell
    return sheet
