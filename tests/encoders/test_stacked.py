"""An encoder that reads another one's verdict."""

from __future__ import annotations

import pytest
import torch

from flowkit import build
from flowkit.encoders import RRDB, UNet
from flowkit.encoders.stacked import Stacked
from flowkit.errors import RecipeError, ShapeError
from flowkit.recipe import read_recipe
from flowkit.training.stacking import stack

FIRST = {"type": "unet", "in_channels": 1, "widths": [4, 5], "gain": 0.7}
SECOND = {"type": "unet", "in_channels": 2, "widths": [3, 4]}
FLOW = ["subtract", "haar", {"type": "affine_coupling", "hidden": 4}]


def recipe(encoder, flow=FLOW):
    return {"version": 1, "target": {"type": "binary"}, "encoder": encoder, "flow": flow}


def parts(perturb):
    injector = {"type": "affine_injector", "hidden": 6, "kernel": 1}
    first = perturb(build(recipe(FIRST, ["squeeze", injector])), amount=0.2).double().eval()
    second = build(recipe({"type": "stacked", "second": SECOND}))
    return first, perturb(second, amount=0.2).double().eval()


def test_a_recipe_names_both(perturb):
    first, second = parts(perturb)
    whole = recipe({"type": "stacked", "first": FIRST, "second": SECOND, "hidden": 6})
    model = stack(first, second, read_recipe(whole)).double()
    image = torch.rand(2, 1, 16, 12, dtype=torch.float64)
    with torch.no_grad():
        odds = 18 * first(image).rsample(temperature=0)[0]
        torch.testing.assert_close(
            model.encoder.log_odds(model.encoder.first(image)[2]), odds, rtol=1e-5, atol=1e-5
        )  # of float32
        seen = torch.cat([image, torch.sigmoid(odds / 3)], dim=1)
        y = (torch.rand(2, 1, 16, 12) < 0.3).double()
        noise = torch.rand_like(y)
        found, expected = (p.log_prob(y, generator=noise) for p in (model(image), second(seen)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert odds.std() > 0.1


def test_a_recipe_whose_parts_do_not_fit():
    with pytest.raises(RecipeError, match="second must have in_channels 2, .* got 1"):
        build(recipe({"type": "stacked", "first": FIRST, "second": FIRST}))
    with pytest.raises(ShapeError, match="scale 1, got .1, 2."):
        Stacked(first=UNet(in_channels=1), second=UNet(in_channels=2, scale=2))


def test_it_has_a_stream_if_both_parts_have():
    tree = RRDB(scale=1, features=4, growth=2, blocks=1, stack=(0,))
    second = {"in_channels": 4, "widths": (4,)}
    assert Stacked(first=UNet(widths=(4, 5)), second=UNet(**second)).stream() is not None
    assert Stacked(first=tree, second=UNet(**second)).stream() is None


def test_other_parts_are_refused(perturb):
    first, second = parts(perturb)
    whole = read_recipe(recipe({"type": "stacked", "first": FIRST, "second": SECOND, "hidden": 6}))
    with pytest.raises(
        ShapeError, match="the layers of the first part are Subtract, Haar, AffineCoupling, expected"
    ):
        stack(second, second, whole)
    with pytest.raises(ShapeError, match="the recipe's encoder is a UNet, expected a Stacked of two"):
        stack(first, second, read_recipe(recipe(FIRST, FLOW[1:])))
    wider = build(recipe({"type": "stacked", "second": {**SECOND, "widths": [5, 6]}}))
    with pytest.raises(ShapeError, match="weights of another model for UNet"):
        stack(first, wider, whole)
    alone = build(recipe(SECOND, FLOW[1:]))
    with pytest.raises(ShapeError, match="the second part's encoder is no Stacked of one"):
        stack(first, alone, whole)


def test_subtracting_the_verdict_leaves_what_it_misses():
    """Before any training the image at temperature 0 is the verdict's."""
    untrained = build(recipe({"type": "stacked", "second": SECOND})).double().eval()
    image = torch.rand(1, 2, 16, 12, dtype=torch.float64)
    with torch.no_grad():
        odds = torch.logit(image[:, 1:]) * 3
        v = untrained(image).rsample(temperature=0)[0]
    torch.testing.assert_close(v, 2 * torch.sigmoid(odds) - 1, rtol=1e-5, atol=1e-5)
