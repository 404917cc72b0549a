"""Scores of binarizations of drawn pages, beside Otsu's, and a check of the probabilities.

python examples/evaluate_page.py [--pages 8] [--width 400] [--height 300] [--seed 0] [--samples 16]

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
    for name, default in (("pages", 8), ("width", 400), ("height", 300), ("seed", 0), ("samples", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    scores: dict[str, list[list[float]]] = {"flowkit": [], "otsu": []}
    forecasts = []
    for _ in range(args.pages):
        scan, ink = drawn_pair(rng, args.height, args.width, "archive")
        page = binarize(scan, samples=args.samples, decision="mode")
        truth = dibco.Truth(ink)  # the maps that scores need of a truth are computed once
        for by, found in {"flowkit": page.binary, "otsu": otsu(scan)}.items():
            of_page = dibco.evaluate(found, truth)
            scores[by].append([of_page[name] for name in SHOWN])
        p = calibration.smoothed(page.votes, args.samples)
        forecasts.append(calibration.Forecast.of(p, ink))

    print(f"mean of {args.pages}" + "".join(f"{name:>11}" for name in SHOWN))
    for by, of_pages in scores.items():
        print(f"{by:9}" + "".join(f"{mean:11.2f}" for mean in np.mean(of_pages, axis=0)))

    forecast = sum(forecasts[1:], forecasts[0])
    print(f"\nexpected calibration error {100 * calibration.expected_calibration_error(forecast):.2f} %")
    print("P(ink) as predicted, share that is ink, pixels:")
    diagram = calibration.reliability(forecast, bins=8)
    for predicted, came_true, pixels in zip(diagram.p, diagram.ink, diagram.total, strict=True):
        if pixels:
            print(f"  {predicted:5.2f}  {came_true:5.2f}  {pixels:8}  {'#' * round(40 * came_true)}")


if __name__ == "__main__":
    main()
