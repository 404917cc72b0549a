"""Draw an old page with a photograph, clean it, and show both side by side.

python examples/clean_page.py [-o OUT.png] [--seed 25]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit.degradations.picture import Picture
from flowkit.degradations.scan import degrade
from flowkit.degradations.texture import to_uint8
from flowkit.errors import FlowkitError
from flowkit.pages import clean
from flowkit.synthetic.page import draw_page

GAP = 12  # pixels of white between the two


def old_page(width: int, height: int, seed: int) -> Image.Image:
    """Draw a page with room for a photograph, put one there, and age it."""
    rng = np.random.default_rng(seed)
    ink = draw_page(width, height, rng, text_size=width / 32)
    ink[height // 3 : 2 * height // 3] = False
    page = degrade(ink, rng, 1.0) / np.float32(255)
    return Image.fromarray(to_uint8(Picture(size=(0.3, 0.5))(page, rng, ink=ink)))


def main() -> None:
    """Read the command line, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    place = Path(__file__).parents[1] / "docs" / "images" / "clean.jpg"
    parser.add_argument("-o", "--out", type=Path, default=place)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--seed", type=int, default=25)
    args = parser.parse_args()
    try:
        page = np.asarray(old_page(args.width, args.width, args.seed))
        made = clean(page)
        white = np.full((len(page), GAP, 3), 255, np.uint8)
        Image.fromarray(np.hstack([page, white, made.image])).save(args.out)
    except (FlowkitError, OSError, ValueError) as error:
        parser.error(str(error))
    print(*made.notes, args.out, sep="\n")


if __name__ == "__main__":
    main()
