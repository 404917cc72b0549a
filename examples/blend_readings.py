"""Blend two readings of a stain: encode both, blend their latents, decode.

python examples/blend_readings.py [-o OUT.png] [--model binarize]

To one reader the blot is ink, to the other it is paper. Both are targets y of the same page x; their latents
are blended along the circle that keeps the norm of Gaussians, and each blend is decoded to a binarization.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowkit import load
from flowkit.degradations.scan import degrade
from flowkit.synthetic.page import draw_page

SIDE, GAP, STEPS = 128, 8, 5


@torch.no_grad()
def main() -> None:
    """Read the command line, print what each blend says, write page and blends side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("readings.png"))
    parser.add_argument("--model", default="binarize")
    args = parser.parse_args()
    rng = np.random.default_rng(5)
    ink = draw_page(SIDE, SIDE, rng)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    stain = np.hypot(y, x + 8 * np.sin(y / 9)) < SIDE / 5
    page = degrade(ink, rng, 0.3).astype(float) * np.where(stain, 0.45, 1.0)[..., None]
    image = torch.from_numpy(page.astype(np.float32) / 255).permute(2, 0, 1)[None]
    readings = [torch.from_numpy(np.float32(reading))[None, None] for reading in (ink, ink | stain)]
    picture = [page.astype(np.uint8)]
    p = load(args.model)(image)
    paper, blot = (p.encode(reading) for reading in readings)
    for share in np.linspace(0, 1, STEPS):
        a, b = math.cos(share * math.pi / 2), math.sin(share * math.pi / 2)
        found = p.decode([a * one + b * other for one, other in zip(paper, blot, strict=True)])
        bits = float(p.bits_per_dim(found, generator=torch.Generator().manual_seed(0)))
        reading = found[0, 0].numpy()
        dark = 100 * reading[stain & ~ink].mean()
        print(f"{share:.2f} of the blot: {dark:5.1f} % of it ink, {bits:.3f} bits per pixel")
        picture += [np.full((SIDE, GAP, 3), 255, np.uint8)]
        picture += [np.repeat(np.uint8(255 * (1 - reading))[..., None], 3, 2)]
    Image.fromarray(np.hstack(picture)).save(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
