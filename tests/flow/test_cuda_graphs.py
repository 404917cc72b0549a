"""CUDA graphs of sampling: refused without a GPU; with one, the same as the distribution's own samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowkit import CapturedSampler, ConditionalFlow, FlowLayer
from flowkit.errors import FlowkitError, ShapeError

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: torch finds no CUDA device")

STEP = [
    "actnorm",
    "conv1x1",
    "affine_injector",
    "affine_coupling",
    {"type": "conv1x1", "decomposition": "plu"},
]


@pytest.fixture
def flow(enlarging: Callable[..., ConditionalFlow]) -> ConditionalFlow:
    return enlarging(STEP, 2)


def test_a_model_on_the_cpu_is_refused(flow):
    with pytest.raises(FlowkitError, match="models on CUDA devices; this one is on cpu"):
        CapturedSampler(flow, torch.rand(1, 3, 4, 6, dtype=torch.float64))


@on_a_gpu
@pytest.mark.parametrize(("images", "samples"), [(1, 1), (1, 5), (3, 2)])
def test_samples_are_the_distributions_own(flow, images, samples):
    flow.cuda()
    image, other = torch.rand(2, images, 3, 4, 6, dtype=torch.float64, device="cuda")
    draw = CapturedSampler(flow, other, samples=samples)
    for seed, temperature in ((1, 0.8), (2, 1.0), (3, 0.0)):
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        with torch.no_grad():
            expected = flow(image).sample(samples, temperature=temperature, generator=generators[0])
        found = draw(image, temperature=temperature, generator=generators[1])
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert not torch.equal(draw(image), draw(image))


@on_a_gpu
def test_results_are_kept_and_weights_are_those_of_the_moment(flow):
    flow.cuda()
    image = torch.rand(1, 3, 4, 6, dtype=torch.float64, device="cuda")
    draw = CapturedSampler(flow, image)
    first = draw(image, temperature=0)
    kept = first.clone()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(1)
    draw(torch.rand_like(image))
    assert torch.equal(first, kept)
    assert torch.equal(draw(image, temperature=0), kept)


@on_a_gpu
def test_autocast_is_that_of_the_recording(flow):
    flow.float().cuda()
    image = torch.rand(1, 3, 4, 6, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        low = CapturedSampler(flow, image)
        with torch.no_grad():
            expected = flow(image).sample(temperature=0)
    torch.testing.assert_close(low(image, temperature=0), expected, rtol=0.05, atol=0.05)
    assert not torch.equal(low(image, temperature=0), CapturedSampler(flow, image)(image, temperature=0))


@on_a_gpu
def test_what_does_not_fit_is_refused(flow):
    flow.cuda()
    image = torch.rand(1, 3, 4, 6, dtype=torch.float64, device="cuda")
    draw = CapturedSampler(flow, image)
    with pytest.raises(ShapeError, match=r"captured for images \(1, 3, 4, 6\), got \(1, 3, 4, 4\)"):
        draw(image[..., :4])
    with pytest.raises(ValueError, match="temperature must be 0 or more and finite, got -1"):
        draw(image, temperature=-1)


class Waiting(FlowLayer):
    def forward(self, inputs, context=None):
        return inputs, inputs.new_full((len(inputs),), float(inputs.sum()) * 0)

    def inverse(self, inputs, context=None):
        return self.forward(inputs)


@on_a_gpu
def test_a_layer_that_waits_for_the_device_cannot_be_captured(flow):
    flow.layers.insert(0, Waiting(flow.layers[0].shape))
    flow.cuda()
    image = torch.rand(1, 3, 4, 6, dtype=torch.float64, device="cuda")
    with pytest.raises(RuntimeError):
        CapturedSampler(flow, image)
    torch.cuda.synchronize()
    with torch.no_grad():
        assert flow(image).sample(1).isfinite().all()
