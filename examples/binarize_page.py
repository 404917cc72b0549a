"""Binarize a page, and show the page, its ink and P(ink | page) side by side.

python examples/binarize_page.py [PAGE] [-o OUT.png] [--samples 16]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit.errors import FlowkitError
from flowkit.pages import binarize

GAP = 12  # pixels of white between the panels


def panels(page: Path, samples: int) -> Image.Image:
    """The three pictures in a row."""
    ink = binarize(page).binary
    probability = binarize(page, samples=samples).probability
    assert probability is not None
    picture = np.asarray(Image.open(page).convert("RGB"))
    row = [picture, *(np.repeat(255 - np.uint8(255 * p)[:, :, None], 3, 2) for p in (ink, probability))]
    white = np.full((picture.shape[0], GAP, 3), 255, np.uint8)
    doubtful = ((probability > 0.1) & (probability < 0.9)).mean()
    print(f"{page}: {100 * ink.mean():.1f} % ink, {100 * doubtful:.2f} % of the pixels in doubt")
    return Image.fromarray(np.hstack([row[0], white, row[1], white, row[2]]))


def main() -> None:
    """Read the command line, write the picture."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, default=here / "page.png")
    parser.add_argument("-o", "--out", type=Path, default=here.parent / "docs" / "images" / "page.png")
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()
    try:
        panels(args.page, args.samples).save(args.out)
    except (FlowkitError, OSError, ValueError) as error:
        parser.error(str(error))
    print(args.out)


if __name__ == "__main__":
    main()
