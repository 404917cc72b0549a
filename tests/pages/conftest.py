"""Small flows with random weights: real ones, which see as far as they can."""

from __future__ import annotations

import pytest
import torch

from flowkit.flow import ConditionalFlow
from flowkit.recipe import build


def random_flow(encoder: dict[str, object], *, target: str = "binary") -> ConditionalFlow:
    step = [
        "actnorm",
        "conv1x1",
        {"type": "affine_injector", "hidden": 8},
        {"type": "affine_coupling", "hidden": 8},
    ]
    level = ["squeeze", {"repeat": 2, "steps": step}]
    torch.manual_seed(0)
    model = build(
        {
            "version": 1,
            "name": "small",
            "target": {"type": target},
            "encoder": encoder,
            "flow": [{"repeat": 2, "steps": level, "between": ["split"]}],
        }
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 4 and weight.shape[-1] == 3:  # the flow's own start at zero
                weight.normal_(0, 1.5 / weight[0].numel() ** 0.5)
    return model.eval()


@pytest.fixture(scope="session")
def grey_flow() -> ConditionalFlow:
    return random_flow({"type": "unet", "in_channels": 1, "widths": [8, 8]})


@pytest.fixture(scope="session")
def colour_flow() -> ConditionalFlow:
    return random_flow({"type": "rrdb", "features": 8, "growth": 4, "blocks": 1, "stack": [0], "scale": 1})


@pytest.fixture(scope="session")
def doubling_flow() -> ConditionalFlow:
    return random_flow({"type": "rrdb", "features": 8, "growth": 4, "blocks": 1, "stack": [0], "scale": 2})


@pytest.fixture(scope="session")
def continuous_flow() -> ConditionalFlow:
    return random_flow({"type": "unet", "in_channels": 1, "widths": [8, 8]}, target="continuous")
