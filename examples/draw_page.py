"""Draw a page of text and a scan of it: OUT.png, and OUT_truth.png with its ink in black.

python examples/draw_page.py page.png --seed 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.synthetic.page import draw_page


def save(image: Image.Image, path: Path) -> None:
    """Write `image` as a PNG of 300 dpi, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    image.save(part, "PNG", dpi=(300, 300), optimize=True)
    part.replace(path)
    print(path)


def main() -> None:
    """Read the command line, draw, degrade, write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("page.png"), metavar="OUT.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=900, help="pixels (%(default)s)")
    parser.add_argument("--height", type=int, default=1200, help="pixels (%(default)s)")
    parser.add_argument("--strength", type=float, default=1.0, help="0 clean, 1 old (default), 2 bad")
    args = parser.parse_args()
    try:
        rng = np.random.default_rng(args.seed)
        truth = draw_page(args.width, args.height, rng)
        verso = draw_page(args.width, args.height, rng)
        scan = degrade(truth, rng, args.strength, verso=verso)
        save(Image.fromarray(scan), args.out)
        save(Image.fromarray(~truth), args.out.with_name(f"{args.out.stem}_truth.png"))
    except (FlowkitError, OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
