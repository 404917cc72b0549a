"""All of flowkit's own layers in one flow that a recipe describes, and layers inside layers."""

from __future__ import annotations

import pytest
import torch

from flowkit import build, registry
from flowkit.errors import RecipeError
from flowkit.layers import AffineCoupling, ConditionalConv1x1, Inverse, Shape
from flowkit.recipe import read_recipe, read_recipe_text

RECIPE = """\
version: 1
name: everything
vars: {hidden: 4, coupling: {type: spline_coupling, hidden: 4, bins: 4, mask: alternate}}
target: {type: continuous, channels: 3, noise: none}
encoder: {type: rrdb, features: 8, growth: 2, blocks: 1, stack: [], scale: 1, enlarged: true}
flow:
  - {type: logit, eps: 1e-3}
  - subtract
  - haar
  - actnorm
  - {type: conv1x1, decomposition: plu}
  - {type: conditional_conv1x1, hidden: $hidden}
  - {type: affine_injector, hidden: $hidden}
  - {type: affine_coupling, hidden: $hidden, mask: checkerboard, flip: true}
  - {type: additive_coupling, hidden: $hidden, mask: half, flip: true}
  - {type: inverse, layer: $coupling}
  - {type: conditional_split, hidden: $hidden, prior: features}
  - reverse
  - squeeze
  - {repeat: 2, steps: [permute, conv1x1, {type: inverse, layer: {type: inverse, layer: actnorm}}]}
  - $coupling
  - {type: split, prior: standard}
  - sigmoid
  - {type: inverse, layer: sigmoid}
  - split
  - {type: common_factor, hidden: $hidden}
"""


def test_the_recipe_has_every_layer_of_flowkit():
    entries = {name: registry.get("layer", name) for name in registry.names("layer")}
    own = {name for name, entry in entries.items() if entry.__module__.startswith("flowkit.layers.")}
    named = {part.name for part in read_recipe_text(RECIPE).layers} | {"spline_coupling"}
    assert own - named == set()


def test_it_builds_trains_and_comes_back(perturb):
    torch.manual_seed(0)
    model = perturb(build(read_recipe_text(RECIPE)).double(), amount=0.05).train()
    image, y = torch.rand(2, 2, 3, 16, 24, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    losses = []
    for _ in range(2):
        loss = -model(image).log_prob(y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    unused = [name for name, p in model.layers.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert losses[1] < losses[0]

    with torch.no_grad():
        p = model.eval()(image)
        z = p.encode(y)
        assert [tuple(t.shape[1:]) for t in z] == [(6, 8, 12), (12, 4, 6), (6, 4, 6), (6, 4, 6)]
        assert (p.decode(z) - y).abs().max() <= 1e-10
        assert p.sample(2, temperature=0.5).isfinite().all()


def test_its_text_builds_it_again():
    recipe = read_recipe_text(RECIPE)
    model = build(recipe)
    state = model.state_dict()
    build(read_recipe_text(model.recipe)).load_state_dict(state)
    assert "layers.9.layer.network.on_context.weight" in state


def flow(*steps: object) -> dict[str, object]:
    return {"version": 1, "encoder": {"type": "unet", "widths": [4], "scale": 1}, "flow": ["haar", *steps]}


def test_a_layer_inside_gets_its_options_its_shape_and_the_features():
    step = {"type": "inverse", "layer": {"type": "affine_coupling", "hidden": 8}}
    first, second = build(flow({"repeat": 2, "steps": [step]})).layers[1:]
    assert isinstance(first, Inverse)
    assert isinstance(first.layer, AffineCoupling)
    assert first.layer is not second.layer
    assert (first.layer.shape, first.context) == (Shape(12, 2), Shape(4, 2))
    assert first.layer.network.mix.in_channels == 8


def test_a_bare_name_may_be_inside():
    layer = build(flow({"type": "inverse", "layer": "conditional_conv1x1"})).layers[1]
    assert isinstance(layer.layer, ConditionalConv1x1)


def test_an_option_inside_can_be_set():
    step = {"type": "inverse", "layer": {"type": "affine_coupling"}}
    model = build(flow(step), overrides=["flow[1].layer.hidden=6"])
    assert model.layers[1].layer.network.mix.in_channels == 6
    with pytest.raises(RecipeError, match=r'there is no "hiden" in flow\[1\].layer; did you mean "hidden"\?'):
        read_recipe(flow(step), ["flow[1].layer.hiden=6"])


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"type": "affine_coupling", "hiden": 8}, 'layer "affine_coupling" has no option "hiden"; did you '
         'mean "hidden"?\n  at <dict>: flow[1].layer.hiden'),
        ({"type": "inverse", "layer": {"type": "affine_coupling", "hidden": "x"}}, 'option "hidden" of layer '
         '"affine_coupling" must be int, got \'x\'\n  at <dict>: flow[1].layer.layer.hidden'),
        ({"type": "affine_coupling", "hidden": 0}, 'layer "affine_coupling" on input Shape(channels=12, '
         'stride=2): hidden must be positive, got 0\n  at <dict>: flow[1].layer'),
        ("actnrm", 'unknown layer "actnrm"; did you mean "actnorm"?\n  at <dict>: flow[1].layer'),
        (3, 'a step must be a layer\'s name or a mapping with "type", got 3\n  at <dict>: flow[1].layer'),
        ({"repeat": 2, "steps": ["actnorm"]}, 'a layer needs "type"\n  at <dict>: flow[1].layer.type'),
        ("squeeze", 'layer "inverse" on input Shape(channels=12, stride=2): inverse of Squeeze: only a layer '
         "that keeps its input's shape has one\n  at <dict>: flow[1]"),
    ],
)  # fmt: skip
def test_what_is_wrong_inside_is_said_with_its_place(inside, message):
    with pytest.raises(RecipeError) as error:
        build(flow({"type": "inverse", "layer": inside}))
    assert str(error.value) == message


def test_inverse_needs_a_layer():
    with pytest.raises(RecipeError, match=r'layer "inverse" needs option "layer" \(layer\)'):
        read_recipe(flow("inverse"))
