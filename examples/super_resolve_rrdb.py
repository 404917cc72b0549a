"""Super-resolve a drawn scrap of page by an RRDB's own image head: low | bicubic | network, side by side.

python examples/super_resolve_rrdb.py WEIGHTS.pth [-o OUT.png] [--width 320] [--height 160] [--seed 3]

The weights are ESRGAN's or Real-ESRGAN's (RRDBNet, any scale); the same file starts an encoder's training by
`flowkit.interop.rrdb.load_rrdb`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.interop.rrdb import load_rrdb_net
from flowkit.synthetic.page import draw_page

GAP = 12  # pixels of white between the panels


def panels(weights: Path, width: int, height: int, seed: int) -> Image.Image:
    """The three pictures in a row, of the size that is asked for."""
    net = load_rrdb_net(weights)
    rng = np.random.default_rng(seed)
    page = Image.fromarray(degrade(draw_page(width, height, rng, text_size=40), rng))
    low = page.resize((width // net.scale, height // net.scale), Image.Resampling.BOX)
    pixels = torch.from_numpy(np.array(low)).float().div(255).permute(2, 0, 1)[None]
    with torch.no_grad():
        high = net(pixels).clamp(0, 1)[0].mul(255).round().byte().permute(1, 2, 0)
    size = (high.shape[1], high.shape[0])
    row = Image.new("RGB", (3 * size[0] + 2 * GAP, size[1]), "white")
    ways = (low.resize(size, method) for method in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC))
    for i, picture in enumerate((*ways, Image.fromarray(high.numpy()))):
        row.paste(picture, (i * (size[0] + GAP), 0))
    print(f"{low.width} x {low.height} to {size[0]} x {size[1]} pixels")
    return row


def main() -> None:
    """Read the command line, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("rrdb.png"))
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=160)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    try:
        panels(args.weights, args.width, args.height, args.seed).save(args.out)
    except (FlowkitError, OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
