"""Several samples of one image in a batch: as one by one, for every layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from flowkit.flow.passes import at_once, from_latents, invert, to_latents
from flowkit.layers import FlowLayer, Shape
from flowkit.layers.network import condition
from flowkit.registry import get, names

SAMPLES = 3


class WithWords(FlowLayer):
    """A layer of somebody's own, whose context is no tensor."""

    def __init__(self) -> None:
        super().__init__(Shape(2, 1), Shape(1, 1))

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        assert inputs.shape[0] == context["maps"].shape[0]
        return inputs * context["maps"], inputs.flatten(1).sum(1)


def several(inputs: Tensor) -> Tensor:
    return torch.stack([inputs[0] * factor for factor in (1.0, 0.5, 0.2)])


@pytest.mark.parametrize("name", names("layer"))
def test_samples_of_one_image_in_a_batch(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    layer, inputs, features = get("layer", name).example(generator)
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        context = wide = None
        if features is not None:
            image = features[:1].double()
            context, wide = (condition(layer, image.repeat(n, 1, 1, 1)) for n in (1, SAMPLES))
        latent = layer(several(inputs.double()), wide)[0]
        together = invert(layer, latent, context, SAMPLES)
        alone = [layer.inverse(one, context) for one in latent.split(1)]
    for found, expected in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), rtol=1e-12, atol=1e-12)


def test_a_context_that_is_no_tensor_serves_one_sample_after_another() -> None:
    v = torch.randn(SAMPLES, 2, 3, 5, dtype=torch.float64)
    maps = torch.randn(1, 1, 3, 5, dtype=torch.float64)
    layer = WithWords()
    expected = v * maps, v.flatten(1).sum(1)
    torch.testing.assert_close(invert(layer, v, {"maps": maps}, SAMPLES), expected)
    found, [log_det] = from_latents([layer], [{"maps": maps}], [v], SAMPLES)
    torch.testing.assert_close((found, log_det), expected)


def test_a_processor_decodes_one_by_one_and_a_gpu_as_many_as_fit() -> None:
    assert at_once(160, 160, torch.device("cpu")) == 1
    assert at_once(160, 160, torch.device("cuda")) > 64
    assert at_once(10_000, 10_000, torch.device("cuda")) == 1


class LowLogDet(FlowLayer):
    """A layer whose log-det is 1, in the data's dtype."""

    def __init__(self) -> None:
        super().__init__(Shape(2, 1))

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        return inputs, inputs.new_ones(len(inputs))


def test_log_dets_of_many_layers_are_summed_in_single() -> None:
    v = torch.zeros(SAMPLES, 2, 3, 5, dtype=torch.bfloat16)  # which holds 256, and 257 no more
    layers = [LowLogDet()] * 300
    _, log_det = to_latents(layers, [None] * len(layers), v)
    assert log_det.dtype == torch.float32
    assert log_det.tolist() == [300] * SAMPLES
