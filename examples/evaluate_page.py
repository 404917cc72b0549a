"""Score a binarization against its truth, beside Otsu's, and see whether its probabilities come true.

python examples/evaluate_page.py [--width 400] [--height 300] [--seed 7] [--samples 16]

`flowkit evaluate` does this for whole sets, with more scores, pictures and tables.
"""

from __future__ import annotations

import argparse

import numpy as np

from flowkit.degradations.scan import drawn_pair
from flowkit.evaluation.baselines import otsu
from flowkit.metrics import calibration, dibco
from flowkit.pages import binarize

SHOWN = ("f_measure", "fps", "psnr", "drd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--height", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()

    scan, ink = drawn_pair(np.random.default_rng(args.seed), args.height, args.width, "archive")
    page = binarize(scan, samples=args.samples, decision="mode")
    truth = dibco.Truth(ink)  # what the scores need of a truth is computed once
    print(f"{'':10}" + "".join(f"{name:>11}" for name in SHOWN))
    for by, found in {"flowkit": page.binary, "otsu": otsu(scan)}.items():
        scores = dibco.evaluate(found, truth)
        print(f"{by:10}" + "".join(f"{scores[name]:11.2f}" for name in SHOWN))

    p = calibration.smoothed(page.votes, args.samples)
    forecast = calibration.Forecast.of(p, ink)
    print(f"\nexpected calibration error {100 * calibration.expected_calibration_error(forecast):.2f} %")
    print("P(ink) as said, share that is ink, pixels:")
    diagram = calibration.reliability(forecast, bins=8)
    for said, came_true, pixels in zip(diagram.p, diagram.ink, diagram.total, strict=True):
        if pixels:
            print(f"  {said:5.2f}  {came_true:5.2f}  {pixels:7}  {'#' * round(40 * came_true)}")


if __name__ == "__main__":
    main()
