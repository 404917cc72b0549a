"""Test the layer of custom_layer.py, and build the recipe that names it.

python examples/use_custom_layer.py
"""

from __future__ import annotations

from pathlib import Path

import custom_layer  # registers "tails", and is what the recipe requires
import torch

from flowkit import build
from flowkit.testing import check_layer


def main() -> None:
    """Check, build, score."""
    check_layer(*custom_layer.Tails.example(torch.Generator().manual_seed(0)))
    print("tails: round trip, log-det, gradients, copies, precision and compilation hold")
    torch.manual_seed(0)
    model = build(Path(__file__).with_name("custom_layer.yaml"))
    p = model(torch.rand(1, 3, 32, 48))
    bits = p.bits_per_dim(torch.rand(1, 3, 32, 48)).item()
    print(f"{len(model.layers)} layers, {bits:.2f} bits/dim of {model.target.nll_of}, untrained")


if __name__ == "__main__":
    main()
