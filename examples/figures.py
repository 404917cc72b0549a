"""Figures 1 and 2 of the paper, redrawn: binarizations over temperatures, and super-resolution at 0.7.

python examples/figures.py [PAGE] [-o FOLDER] [--model SUPER]

figure1.png: the page (by default a drawn one), its binarizations at rising temperatures, P(ink); figure2.png,
of a model that super-resolves: the page as it is, by bicubic interpolation, at temperatures 0 and 0.7.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit import load
from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.pages import binarize, read, upscale
from flowkit.synthetic.page import draw_page

TEMPERATURES, SAMPLES, GAP = (0.0, 0.5, 0.7, 1.0), 16, 12


def save(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """Write them side by side."""
    row = []
    for picture in pictures:
        colour = np.asarray(Image.fromarray(picture.squeeze()).convert("RGB"))
        row += [colour, np.full_like(colour[:, :GAP], 255)]
    Image.fromarray(np.hstack(row[:-1])).save(path)
    print(path)


def main() -> None:
    """Read the command line, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", nargs="?", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path(), metavar="FOLDER")
    parser.add_argument("--model", metavar="SUPER", default="super-resolve-x4")
    args = parser.parse_args()
    rng, ink = np.random.default_rng(4), load("binarize")
    try:
        page = read(args.page or degrade(draw_page(480, 160, rng, text_size=24), rng, 1.2)).pixels
        inks = [binarize(page, model=ink, temperature=t or None).binary for t in TEMPERATURES]
        share = binarize(page, model=ink, samples=SAMPLES).probability
        save(args.out / "figure1.png", [page, *(np.uint8(255 * (1.0 - p)) for p in (*inks, share))])
        first, second = (upscale(page, model=args.model, temperature=t).image for t in (0.0, 0.7))
        low, size = Image.fromarray(page.squeeze()), first.shape[1::-1]
        plain = [np.asarray(low.resize(size, way)) for way in (Image.NEAREST, Image.BICUBIC)]
        save(args.out / "figure2.png", [*plain, first, second])
    except (FlowkitError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
