"""Make `golden/`: drawn pages, binarizations of them, and what doxapy says of them.

python tests/metrics/make_dibco_golden.py draw      # flowkit's own Python
python tests/metrics/make_dibco_golden.py score     # a Python 3.12 or later with doxapy==0.9.9, numpy, pillow
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "golden"
SIZES = ((301, 217), (160, 411), (97, 64), (640, 403))


def draw() -> None:
    from flowkit.degradations.scan import degrade
    from flowkit.synthetic.page import draw_page

    for seed, (width, height) in enumerate(SIZES):
        rng = np.random.default_rng(seed)
        ink = draw_page(width, height, rng, text_size=(26, 14, 40, 19)[seed])
        scan = degrade(ink, rng).mean(2)
        found = scan < (np.median(scan) * 0.72)
        for name, page in (("truth", ink), ("pred", found)):
            Image.fromarray(np.where(page, 0, 255).astype(np.uint8)).convert("1").save(
                FOLDER / f"{seed}_{name}.png", optimize=True
            )


def score() -> None:
    import doxapy

    golden = {}
    for seed in range(len(SIZES)):
        truth, pred = (
            np.array(Image.open(FOLDER / f"{seed}_{name}.png").convert("L")) for name in ("truth", "pred")
        )
        precision, recall = doxapy.generate_pseudo_weights(truth)
        scores = doxapy.calculate_performance(truth, pred, precision, recall)
        sums = {"sum_recall_weights": sum(recall), "sum_precision_weights": sum(precision)}
        golden[str(seed)] = {name: float(value) for name, value in {**scores, **sums}.items()}
    (FOLDER / "doxapy.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    {"draw": draw, "score": score}[sys.argv[1]]()
