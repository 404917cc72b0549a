"""Promises that only a whole flow can keep or break: compilation, precision, depth."""

from __future__ import annotations

import pytest
import torch

from flowkit import build

STEP = [
    "actnorm",
    "conv1x1",
    {"type": "affine_injector", "hidden": 4},
    {"type": "affine_coupling", "hidden": 4},
]


def recipe(levels: int, steps: int) -> dict:
    return {
        "version": 1,
        "target": {"type": "continuous", "noise": "none"},
        "encoder": {"type": "unet", "widths": [4, 5, 6]},
        "flow": [
            {"repeat": levels, "steps": ["squeeze", {"repeat": steps, "steps": STEP}], "between": ["split"]}
        ],
    }


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_compiles_without_a_graph_break(training, perturb):
    torch.manual_seed(0)
    torch.compiler.reset()
    model = perturb(build(recipe(levels=2, steps=1)), amount=0.1).train(training)
    image, y = torch.rand(2, 3, 8, 12), torch.rand(2, 3, 8, 12)
    model(image).log_prob(y)  # in training, this initialises the actnorms

    def score(image, y):
        return model(image).log_prob(y)

    def sample(image):
        return model(image).sample(2, temperature=0.5)

    compiled = torch.compile(score, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(image, y), score(image, y))
    compiled(image, y).sum().backward()
    torch.manual_seed(1)
    expected = sample(image)
    torch.manual_seed(1)
    torch.testing.assert_close(
        torch.compile(sample, fullgraph=True, backend="aot_eager")(image), expected, rtol=1e-4, atol=1e-4
    )


def test_sixteen_steps_keep_their_precision_under_autocast(perturb):
    torch.manual_seed(0)
    model = perturb(build(recipe(levels=1, steps=16)), amount=0.05).eval()
    generator = torch.Generator().manual_seed(0)
    image, y = (torch.rand(2, 3, 16, 24, generator=generator) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p = model(image)
        z = p.encode(y)
        back = p.decode(z)
        bits = p.bits_per_dim(y)
    assert bits.dtype == back.dtype == torch.float32
    assert ((back - y).abs().max() / y.abs().max()) <= 1e-4
    exact = model.double()(image.double()).bits_per_dim(y.double())
    assert (bits - exact).abs().max() < 0.05


def test_sixty_four_steps_keep_their_precision_in_float32(perturb):
    torch.manual_seed(0)
    model = perturb(build(recipe(levels=1, steps=64)), amount=0.02).eval()
    generator = torch.Generator().manual_seed(0)
    image, y = (torch.rand(1, 3, 16, 24, generator=generator) for _ in range(2))
    p = model(image)
    assert (p.decode(p.encode(y)) - y).abs().max() <= 1e-4
