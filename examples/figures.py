"""Figures 1 and 2 of the paper, redrawn, with a row for each model.

python examples/figures.py 1|2 [--models MODEL ...] [--page PAGE] [-o FILE]

1: the page (by default a drawn one), binarized at temperatures 0, 0.5, 0.7 and 1, and P(ink).
2: the page reduced, enlarged by bicubic interpolation and by the model at temperature 0.7, and as it is.
"""

import argparse

import numpy as np
from PIL import Image

from flowkit import ConditionalFlow, load
from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.pages import binarize, read, upscale
from flowkit.synthetic.page import draw_page

TEMPERATURES, GAP = (0.0, 0.5, 0.7, 1.0), 8


def binarized(model: ConditionalFlow, page: np.ndarray) -> list[Image.Image]:
    """Return the page, its binarizations at rising temperatures, and P(ink)."""
    inks = [binarize(page, model=model, temperature=t or None).binary for t in TEMPERATURES]
    inks.append(binarize(page, model=model, samples=16).probability)
    return [Image.fromarray(p.squeeze()) for p in (page, *(np.uint8(255 - 255 * ink) for ink in inks))]


def enlarged(model: ConditionalFlow, page: np.ndarray) -> list[Image.Image]:
    """Return the page reduced by the model's scale, enlarged again in two ways, and the page."""
    whole = Image.fromarray(page.squeeze())
    low = whole.resize([side // model.scale for side in whole.size], Image.BICUBIC)
    large = Image.fromarray(upscale(np.asarray(low), model=model, temperature=0.7).image.squeeze())
    return [low.resize(large.size, Image.NEAREST), low.resize(large.size, Image.BICUBIC), large, whole]


def main() -> None:
    """Read the command line, write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figure", choices=("1", "2"))
    parser.add_argument("--models", nargs="+", metavar="MODEL")
    parser.add_argument("--page", metavar="PAGE")
    parser.add_argument("-o", "--out", metavar="FILE", default="figure.png")
    args, rng = parser.parse_args(), np.random.default_rng(8)
    show, usual = (binarized, "binarize") if args.figure == "1" else (enlarged, "super-resolve-x4")
    page = degrade(draw_page(320, 160, rng, text_size=30), rng, 0.7)
    try:
        page = read(args.page).pixels if args.page else page
        rows = [show(load(model), page) for model in args.models or [usual]]
        cells = [[np.asarray(cell.convert("RGB").resize(page.shape[1::-1])) for cell in row] for row in rows]
        wide = np.pad(np.array(cells), ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
        Image.fromarray(np.concatenate([np.hstack(row) for row in wide])[:-GAP, :-GAP]).save(args.out)
    except (FlowkitError, OSError) as error:
        parser.error(str(error))
    print(args.out)


if __name__ == "__main__":
    main()
