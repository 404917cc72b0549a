"""Enlarge a drawn scrap of page by a flow: small, bicubic, two samples, mean, where samples differ, truth.

python examples/super_resolve.py [MODEL] [-o OUT.png] [--temperature 0.8]
python examples/train_super_resolution.py runs/sr          # trains a small model, in minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit import FlowkitError, load
from flowkit.degradations.scan import drawn_pair
from flowkit.pages import upscale

GAP = 8  # pixels of white between the panels
NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC


def panels(model: str, temperature: float, samples: int) -> Image.Image:
    """The pictures in a row: the last is the standard deviation over the samples, eight times as bright."""
    flow = load(model)
    page, _ = drawn_pair(np.random.default_rng(3), 96, 160, [])
    size = (page.shape[1], page.shape[0])
    small = Image.fromarray(page).resize((size[0] // flow.scale, size[1] // flow.scale), BICUBIC)
    large = upscale(small, model=flow, temperature=temperature, samples=samples, keep_samples=True)
    assert large.samples is not None
    deviation = large.samples.astype(float).std(0).mean(-1)
    print(f"{small.width} x {small.height} to {size[0]} x {size[1]}, {samples} samples")
    print(f"samples differ by {deviation.mean():.1f} grey levels on average, {deviation.max():.1f} at most")
    ways = [np.asarray(small.resize(size, way)) for way in (NEAREST, BICUBIC)]
    doubt = np.repeat(255 - np.clip(8 * deviation, 0, 255).astype(np.uint8)[..., None], 3, 2)
    row = [*ways, *large.samples[:2], large.image, doubt, page]
    spaced = [np.pad(picture, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for picture in row]
    return Image.fromarray(np.hstack(spaced))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="super-resolve-x4")
    parser.add_argument("-o", "--out", type=Path, default=Path("super_resolved.png"))
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--samples", type=int, default=4)
    args = parser.parse_args()
    try:
        panels(args.model, args.temperature, args.samples).save(args.out)
    except (FlowkitError, OSError, ValueError) as error:
        parser.error(str(error))
    print(args.out)


if __name__ == "__main__":
    main()
