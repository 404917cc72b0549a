"""Bits per pixel of a model's own image at temperature 0, for pages and for other images.

python examples/score_pages.py [IMAGE ...]

-log2 p(y | x) of the y that the model itself finds most central is low where the answer is plain, whether it
is right or not. It says nothing of p(x), so that it finds pages that are hard, or strange in a way that makes
the model doubt; something strange that looks like blank paper, or like very clear ink, passes.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit import load
from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.pages import binarize
from flowkit.synthetic.page import draw_page

SIDE = 256  # pixels


def drawn() -> dict[str, NDArray[np.uint8]]:
    """Two pages, the second in a bad state, and what is none."""
    rng = np.random.default_rng(0)
    ink = draw_page(SIDE, SIDE, rng)
    noise = rng.standard_normal((SIDE, SIDE))
    clouds = sum(ndimage.gaussian_filter(noise, s) * s for s in (1, 3, 9, 27))
    return {
        "a page": degrade(ink, rng, 0.5),
        "a bad page": degrade(ink, rng, 2.0),
        "blank paper": degrade(np.zeros_like(ink), rng, 0.5),
        "a negative": 255 - degrade(ink, rng, 0.5),
        "a photograph's texture": np.uint8(255 * (clouds - clouds.min()) / np.ptp(clouds)),
        "white noise": rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8),
    }


def main() -> None:
    """Read the command line, print a line for each image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="drawn ones, if none is named")
    parser.add_argument("--model", default="binarize")
    args = parser.parse_args()
    images, model = {path: path for path in args.images} or drawn(), load(args.model)
    print(f"{'image':24} {'bits per pixel':>14} {'ink %':>6}")
    try:
        for name, image in images.items():
            page = binarize(image, model=model, likelihood=True, scale=1)
            print(f"{name:24} {page.bits_per_dim:14.3f} {100 * page.binary.mean():6.1f}")
    except (FlowkitError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
