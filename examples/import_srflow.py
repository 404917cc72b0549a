"""Import weights of SRFlow's code, and enlarge a drawn scrap of page: low, temperatures 0, 0.5, 0.9.

python examples/import_srflow.py WEIGHTS.pth [--scale 4] [--stack 1 8 15 22] [-o OUT.png] [--save MODEL]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flowkit import FlowkitError, save
from flowkit.degradations.scan import drawn_pair
from flowkit.interop.srflow import from_srflow

TEMPERATURES = (0.0, 0.5, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument(
        "--stack", type=int, nargs="+", default=[1, 8, 15, 22], help="as the network was trained"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("srflow.png"))
    parser.add_argument("--save", type=Path, help="keep the model as a flowkit checkpoint")
    args = parser.parse_args()
    try:
        state = torch.load(args.weights, map_location="cpu", weights_only=True)
        model = from_srflow(state, scale=args.scale, stack=args.stack).float()
    except (FlowkitError, OSError) as error:
        parser.error(str(error))
    print(f"{len(model.layers)} layers, {sum(w.numel() for w in model.parameters()):,} parameters")

    page, _ = drawn_pair(np.random.default_rng(3), 96, 192, [])
    high = torch.from_numpy(page).permute(2, 0, 1)[None] / 255
    low = torch.nn.functional.interpolate(high, scale_factor=1 / model.scale, mode="bicubic", antialias=True)
    with torch.no_grad():
        p = model(low.clamp(0, 1))
        latents = p.encode(high)
        print("latents", *(tuple(z.shape[1:]) for z in latents))
        print(f"decode(encode(y)) is y to {(p.decode(latents) - high).abs().max():.1e}")
        made = [p.sample(temperature=t, generator=torch.Generator().manual_seed(0))[0] for t in TEMPERATURES]
    row = torch.cat([torch.nn.functional.interpolate(low, high.shape[2:], mode="nearest"), *made], 3)[0]
    pixels = row.nan_to_num().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(args.out)
    if args.save:
        save(model, args.save)
    print(args.out)


if __name__ == "__main__":
    main()
