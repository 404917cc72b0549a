"""The page's way through a flow: the distribution's own decode, in another order and with folded layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowkit import ConditionalFlow
from flowkit.flow.fast_decode import Decoder, Margins
from flowkit.flow.folding import Folded
from flowkit.layers import FlowLayer
from flowkit.registry import get, names

STEP = [
    "actnorm",
    {"type": "conv1x1", "decomposition": "plu"},
    "permute",
    {"type": "affine_injector", "hidden": 5, "kernel": 3},
    {"type": "affine_coupling", "hidden": 5},
    {"type": "additive_coupling", "hidden": 5, "mask": "checkerboard"},
]


@pytest.fixture
def flow(enlarging: Callable[..., ConditionalFlow]) -> ConditionalFlow:
    return enlarging(STEP, 3)


def drawn(flow: ConditionalFlow, height: int, width: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = flow.latent_shapes(height, width)
    return [torch.randn(1, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("together", [1, 2])
def test_samples_are_those_of_the_distribution(
    flow: ConditionalFlow, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowkit.flow.fast_decode.at_once", lambda *_: together)
    image = torch.rand(1, 3, 12, 20, dtype=torch.float64)
    latents = [drawn(flow, 12, 20, seed) for seed in range(3)]
    with torch.no_grad():
        p = flow(image)
        found = Decoder(flow)(flow.encoder(image), latents)
        for y, zs in zip(found, latents, strict=True):
            torch.testing.assert_close(y, p.decode(zs), rtol=1e-10, atol=1e-10)
    assert found[0].std() > 0.1
    assert not torch.allclose(found[0], found[1], atol=0.1)


def test_low_features_make_low_networks_and_latents_stay_exact(
    enlarging: Callable[..., ConditionalFlow],
) -> None:
    flow = enlarging([*STEP, {"type": "spline_coupling", "hidden": 5}], 3).float()
    image = torch.rand(1, 3, 12, 20)
    latents = [[z.float() for z in drawn(flow, 12, 20, seed)] for seed in range(2)]
    with torch.no_grad():
        features = flow.encoder(image)
        low = {stride: found.bfloat16() for stride, found in features.items()}
        exact, near = (Decoder(flow)(given, latents) for given in (features, low))
    for one, other in zip(exact, near, strict=True):
        assert other.dtype == torch.float32
        assert 0 < (one - other).abs().mean() < 0.05 * one.std()
        values = other.flatten()  # of bfloat16, no value would have more than eight bits
        assert (values.bfloat16().float() != values).float().mean() > 0.9


def test_windows_of_one_size_stay_of_one_size(flow: ConditionalFlow) -> None:
    decoder = Decoder(flow)
    most = decoder.needed[0]
    inside, edge = Margins(most, most, most, most), Margins(0, 2 * most, 2 * most, 0)
    for needed in decoder.needed:
        one, other = decoder._kept(inside, needed), decoder._kept(edge, needed)
        assert one.top + one.bottom == other.top + other.bottom == 2 * needed
        assert (other.top, other.right) == (0, 0)
        assert min(one) == needed
        assert decoder._kept(Margins(), needed) == Margins()
    few = decoder._kept(Margins(most, 4, 0, most), 8)
    assert (few.bottom, few.left) == (4, 0)
    assert min(few.top, few.right) >= 8


def test_contexts_may_have_been_made_before(flow: ConditionalFlow) -> None:
    features, others = (flow.encoder(torch.rand(1, 3, 12, 20, dtype=torch.float64)) for _ in range(2))
    latents = [drawn(flow, 12, 20, 0)]
    layers = [layer for step in flow.steps() for layer in step]
    decoder = Decoder(flow)
    with torch.no_grad():
        made = dict(zip(layers, flow.condition(features), strict=True))
        found = decoder(others, latents, contexts=made)[0]
        torch.testing.assert_close(found, decoder(features, latents)[0], rtol=1e-10, atol=1e-10)
        assert not torch.allclose(found, decoder(others, latents)[0], atol=1e-3)


def test_a_window_gives_the_core_of_the_whole(flow: ConditionalFlow) -> None:
    height, width, reach = 400, 24, -(-flow.path_reach // flow.path_grid) * flow.path_grid
    image = torch.rand(1, 3, height, width, dtype=torch.float64)
    latents = [drawn(flow, height, width, 0)]
    decoder = Decoder(flow)
    core = slice(160, 240)
    window = slice(core.start - reach, core.stop + reach)
    assert window.start > 0
    assert window.stop < height
    with torch.no_grad():
        features = flow.encoder(image)
        whole = decoder(features, latents)[0]

        def rows(values: torch.Tensor, stride: int) -> torch.Tensor:
            return values[:, :, window.start * 2 // stride : window.stop * 2 // stride]

        part = decoder(
            {stride: rows(values, stride) for stride, values in features.items()},
            [[rows(z, shape.stride) for z, shape in zip(latents[0], flow.latents, strict=True)]],
            Margins(top=2 * reach, bottom=2 * reach),
        )[0]
    torch.testing.assert_close(part, whole[:, :, 2 * core.start : 2 * core.stop], rtol=1e-10, atol=1e-10)


AFFINE = [name for name in names("layer") if get("layer", name).affine]


@pytest.mark.parametrize("name", AFFINE)
def test_what_says_that_it_is_affine_can_be_folded(name: str) -> None:
    layer, inputs, _ = get("layer", name).example(torch.Generator().manual_seed(3))
    other, _, _ = get("layer", name).example(torch.Generator().manual_seed(4))
    assert isinstance(layer, FlowLayer)
    both = Folded([layer, other])
    with torch.no_grad():
        middle, first = layer(inputs)
        outputs, second = other(middle)
        for found, expected in zip(both(inputs), (outputs, first + second), strict=True):
            torch.testing.assert_close(found, expected)
        for found, expected in zip(both.inverse(outputs), (inputs, -first - second), strict=True):
            torch.testing.assert_close(found, expected)


def test_layers_that_can_be_folded_are_known() -> None:
    assert {"actnorm", "conv1x1", "permute", "reverse"} <= set(AFFINE)
