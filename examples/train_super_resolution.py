"""Train a small super-resolution flow, 2x, on pages that flowkit draws itself, below a stated bound.

    python examples/train_super_resolution.py runs/super_resolution

The run's folder then has the model, its curves and pictures of samples. A pixel of 8 bits costs 8 bits per
dimension if nothing is known; below 4 the flow has learned how scans look, and what the small image says.
"""

import argparse
import json
from pathlib import Path

from flowkit import read_recipe
from flowkit.training import train

BOUND = 4.0  # bits per dimension of the validation pages

STEP = [
    "actnorm",
    "conv1x1",
    {"type": "affine_injector", "hidden": 24},
    {"type": "affine_coupling", "hidden": 24},
]
LEVEL = ["squeeze", {"repeat": 2, "steps": ["actnorm", "conv1x1"]}, {"repeat": 2, "steps": STEP}]
RECIPE = {
    "version": 1,
    "name": "super-resolve-drawn",
    "target": {"type": "continuous", "channels": 3},
    "encoder": {"type": "rrdb", "scale": 2, "features": 16, "growth": 8, "blocks": 2, "stack": [0]},
    "flow": [{"repeat": 2, "steps": LEVEL, "between": ["split"]}],
    "train": {"steps": 90, "batch": 4, "patch": 48, "lr": 2e-3, "warmup": 10, "ema": 0.98}
    | {"validate_every": 45, "validation_windows": 12, "losses": {"nll": 1.0, "l1": 0.5}},
}
PAGES = {"type": "drawn", "pages": 10, "width": 400, "height": 300, "degradations": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", help="a new folder for the run")
    args = parser.parse_args()
    train(read_recipe(RECIPE), [PAGES], args.out, validation=0.3)
    lines = [json.loads(line) for line in (Path(args.out) / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "validation_bits_per_dim" in line][-1]
    bits, psnr = last["validation_bits_per_dim"], last["validation_psnr"]
    print(f"validation: {bits:.3f} bits per dimension (bound {BOUND}), PSNR {psnr:.1f} dB")
    if bits >= BOUND:
        raise SystemExit("the bound was not reached")


if __name__ == "__main__":
    main()
