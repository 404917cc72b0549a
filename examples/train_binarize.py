"""Train a small binarization flow on pages that flowkit draws itself, until it scores below a stated bound.

    python examples/train_binarize.py runs/binarize

The run's folder then has the model, its curves and pictures of samples. A flow that knows nothing of the page
needs about 1 bit per pixel; below 0.25 it has learned to tell ink from paper.
"""

import argparse
import json
from pathlib import Path

from flowkit import read_recipe
from flowkit.training import train

BOUND = 0.25  # bits per pixel of the validation pages

RECIPE = {
    "version": 1,
    "name": "binarize-drawn",
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [12, 16, 24]},
    "flow": [
        "squeeze",
        {
            "repeat": 2,
            "steps": [
                "actnorm",
                "conv1x1",
                {"type": "affine_injector", "hidden": 16, "kernel": 1},
                {"type": "affine_coupling", "hidden": 16, "context_kernel": 1},
            ],
        },
    ],
    "train": {"steps": 120, "batch": 4, "patch": 64, "lr": 4e-3, "warmup": 10, "ema": 0.98}
    | {"validate_every": 60, "validation_windows": 12},
}
PAGES = {"type": "drawn", "pages": 10, "width": 400, "height": 300, "degradations": "light"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", help="a new folder for the run")
    args = parser.parse_args()
    train(read_recipe(RECIPE), [PAGES], args.out, validation=0.3)
    lines = [json.loads(line) for line in (Path(args.out) / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "validation_bits_per_dim" in line][-1]
    bits, score = last["validation_bits_per_dim"], last["validation_f_measure"]
    print(f"validation: {bits:.3f} bits per pixel (bound {BOUND}), F-measure {score:.1f}")
    if bits >= BOUND:
        raise SystemExit("the bound was not reached")


if __name__ == "__main__":
    main()
