"""Scans to binarize, and what a run makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PAGES = 6


def scan(seed: int, height: int = 24, width: int = 20) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height + seed, width, 3), dtype=np.uint8))


def document(path: Path, pages: int) -> None:
    first, *rest = [scan(10 + i) for i in range(pages)]
    first.save(path, save_all=True, append_images=rest, **{"dpi": (200, 200)})


def tree(folder: str | Path) -> dict[str, bytes]:
    """Every file but reports, and its content."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if not p.name.startswith("report.")}


def report(folder: str = "out") -> list[dict[str, Any]]:
    """The lines about pages; those about documents are left out."""
    lines = [json.loads(line) for line in Path(folder, "report.jsonl").read_text().splitlines()]
    return [line for line in lines if line["status"] != "bound"]
