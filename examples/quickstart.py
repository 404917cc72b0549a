"""Ask for a page's distribution: its ink, a probability for every pixel, a density, and latents.

python examples/quickstart.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowkit import load
from flowkit.degradations.scan import degrade
from flowkit.synthetic.page import draw_page

SHADES = np.array(list(" .:-=+*#%@"))


def show(image: Tensor) -> None:
    """Print a picture (H, W) with values in [0, 1] as characters, 4 x 2 pixels each."""
    cells = image.unfold(0, 4, 4).unfold(1, 2, 2).mean((2, 3)).numpy()
    for row in SHADES[np.rint(cells * (len(SHADES) - 1)).astype(int)]:
        print("".join(row).rstrip())


def main() -> None:
    rng = np.random.default_rng(4)
    ink = draw_page(160, 64, rng, text_size=30)
    scan = degrade(ink, rng, strength=1.5)
    page = torch.from_numpy(scan).permute(2, 0, 1)[None] / 255  # (B, C, H, W), values in [0, 1]
    truth = torch.from_numpy(ink)[None, None].float()

    model = load("binarize")  # the weights that ship
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        p = model(page)  # p(y | page): all that reads the page alone is computed here, once
        mode = p.sample(temperature=0)[0]  # the image of z = 0; 1 is ink
        samples = p.sample(16, generator=generator)  # (16, B, 1, H, W)
        p_ink = samples.mean(0)
        latents = p.encode(mode)
        back = p.decode(latents)
        whose = {"the truth": truth, "the model's image": mode, "the truth upside down": truth.flip(2)}
        bits = {name: p.bits_per_dim(y, generator=generator).item() for name, y in whose.items()}

    print("P(ink | page), of 16 samples:")
    show(p_ink[0, 0])
    print(f"\npixels as in the truth: {100 * (mode == truth).float().mean():.1f} %")
    print(f"pixels in doubt, 0.1 < P(ink) < 0.9: {100 * ((p_ink - 0.5).abs() < 0.4).float().mean():.1f} %")
    print(f"latents {[tuple(z.shape) for z in latents]}; decoded again: {torch.equal(back, mode)}")
    print(f"-log2 p(y | page) per pixel, of {model.target.nll_of}:")
    for name, found in bits.items():
        print(f"  {found:8.3f}  {name}")


if __name__ == "__main__":
    main()
