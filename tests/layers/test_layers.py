"""What every registered layer owes: the registry is the matrix."""

from __future__ import annotations

import pytest
import torch

from flowkit import registry
from flowkit.errors import ShapeError
from flowkit.layers.base import make_example
from flowkit.testing import check_layer

LAYERS = registry.names("layer")

# What an example, at its options' defaults, does not show.
VARIANTS = [
    ("affine_injector", {"hidden": 4, "kernel": 1, "scale": "sigmoid", "eps": 1e-4}),
    ("affine_coupling", {"hidden": 4, "kernel": 1, "context_kernel": 3, "scale": "sigmoid", "eps": 1e-4}),
    ("affine_coupling", {"hidden": 4, "scale": "exp", "channels": 2}),
    ("split", {"scale": "exp", "channels": 2}),
    ("squeeze", {"factor": 3, "size": (6, 3)}),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", LAYERS)
def test_every_registered_layer(name):
    check_layer(*registry.get("layer", name).example(generator()))


@pytest.mark.parametrize("name", [name for name in LAYERS if "/" not in name])
def test_every_layer_of_flowkits_own_shows_how_to_use_it(name):
    entry = registry.get("layer", name)
    assert f"import {entry.__name__}, " in entry.__doc__ or f", {entry.__name__}" in entry.__doc__
    assert ">>> " in entry.__doc__  # run as a doctest


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_variants(name, options):
    check_layer(*make_example(registry.get("layer", name), generator(), **options))


@pytest.mark.parametrize("name", LAYERS)
def test_wrong_shapes_are_refused(name):
    layer, x, u = registry.get("layer", name).example(generator())
    with pytest.raises(ShapeError, match=rf"forward: expected \(B, {x.shape[1]}, H, W\), got"):
        layer(x[:, 1:], u)
    with pytest.raises(ShapeError, match=r"inverse: expected \(B, "):
        layer.inverse(layer(x, u)[0][:, 1:], u)
    if u is not None:
        with pytest.raises(ShapeError, match=rf"needs image features of {u.shape[1]} channels"):
            layer(x)
        with pytest.raises(ShapeError, match=rf"expected features \(B, {u.shape[1]}, H, W\), got"):
            layer(x, u[:, 1:])
