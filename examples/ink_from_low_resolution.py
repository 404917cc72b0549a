"""Ink at four times the resolution of the scan: by one flow, and by two in a row, with floor and ceiling.

python examples/ink_from_low_resolution.py FOLDER [--one ONE.safetensors] [--two SUPER.safetensors]

FOLDER has pages with truths. Every page is reduced 4 times and binarized: enlarged by bicubic interpolation
(the floor), by ONE (recipe super-resolve-binarize-x4), enlarged by SUPER; and as it was (the ceiling).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean

from PIL import Image

from flowkit import load
from flowkit.data import find_pairs, load_pages
from flowkit.data.tasks import reduce
from flowkit.errors import FlowkitError
from flowkit.metrics import dibco
from flowkit.metrics.components import Components, compare
from flowkit.pages import binarize, upscale

SCALE = 4


def main() -> None:
    """Read the command line, print the means of every way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, metavar in (("folder", "FOLDER"), ("--one", "ONE"), ("--two", "SUPER")):
        parser.add_argument(name, metavar=metavar)
    args = parser.parse_args()
    scores, sums, model = defaultdict(list), defaultdict(Components), load("binarize")
    try:
        for page in load_pages(find_pairs([args.folder])):
            height, width = (n // SCALE * SCALE for n in page.ink.shape)
            image, truth = page.image[:height, :width], dibco.Truth(page.ink[:height, :width])
            low = reduce(image, SCALE)
            bicubic = Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)
            found = {"bicubic": binarize(bicubic, model=model), "not reduced": binarize(image, model=model)}
            if args.one:
                found["one flow"] = binarize(low, model=args.one)
            if args.two:
                found["two flows"] = binarize(upscale(low, model=args.two).image, model=model)
            for way, result in found.items():
                scores[way].append(dibco.evaluate(result.binary, truth))
                sums[way] += compare(result.binary, truth.ink)
    except (FlowkitError, OSError) as error:
        parser.error(str(error))
    print(f"{'':12} {'f_measure':>9} {'fps':>6} {'psnr':>6} {'broken':>7} {'merged':>7} {'of':>7}")
    for way, own in scores.items():
        f, fps, psnr = (fmean(score[name] for score in own) for name in ("f_measure", "fps", "psnr"))
        count, broken, merged, *_ = sums[way]
        print(f"{way:12} {f:9.2f} {fps:6.2f} {psnr:6.2f} {broken:7} {merged:7} {count:7}")


if __name__ == "__main__":
    main()
