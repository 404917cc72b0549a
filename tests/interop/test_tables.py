"""docs/reference/interop.md against the libraries and the registry, so that the three cannot drift apart."""

from __future__ import annotations

import inspect
import re

import nflows.transforms
import normflows
import pytest
import torch
from interop_docs import table

import flowkit.interop
from flowkit import build, registry
from flowkit.errors import RecipeError, RegistryError

REFUSED = {"nflows": flowkit.interop.nflows.REFUSED, "normflows": flowkit.interop.normflows.REFUSED}


def public_classes(host: str) -> set[str]:
    """All bijections that a host offers by name: what it exports, without its base class."""
    if host == "nflows":
        base, modules = nflows.transforms.Transform, [nflows.transforms, nflows.transforms.nonlinearities]
    else:
        base, modules = normflows.flows.Flow, [normflows.flows, normflows.transforms]
    found = (value for module in modules for value in vars(module).values() if inspect.isclass(value))
    return {value.__name__ for value in found if issubclass(value, base) and value is not base} | (
        {"AffineScalarTransform"} if host == "nflows" else set()  # an alias of AffineTransform
    )


def recipe_name(host: str, cls: str) -> str:
    """The rule of the docs: snake case, without the words Transform and Flow."""
    short = cls.removesuffix("Transform").removesuffix("Flow").replace("ReLU", "Relu")
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", short)
    return f"{host}/{snake.lower()}"


@pytest.mark.parametrize("host", ["nflows", "normflows"])
def test_every_class_has_its_row(host):
    rows = table(f"Classes of {host}")
    assert {cls for cls, _, _ in rows} == public_classes(host)
    assert len(rows) == len(public_classes(host))
    for cls, name, status in rows:
        assert name == recipe_name(host, cls)
        if status.startswith("refused: "):
            assert status == f"refused: {REFUSED[host][name.partition('/')[2]]}"
            assert registry.refused("layer")[name] == status.removeprefix("refused: ")
        else:
            conditional = "context" in registry.positional(registry.get("layer", name))
            assert status.startswith("conditional" if conditional else "usable")


@pytest.mark.parametrize("host", ["nflows", "normflows"])
def test_every_registered_name_has_its_row(host):
    ours = {name for name in registry.names("layer") if name.startswith(f"{host}/")}
    assert ours == {name for _, name, status in table(f"Classes of {host}") if "refused" not in status}
    assert not set(registry.names("layer")) & set(registry.refused("layer"))


def test_a_refused_name_says_why():
    with pytest.raises(RegistryError) as error:
        registry.get("layer", "nflows/naive_linear")
    assert str(error.value) == (
        'layer "nflows/naive_linear" cannot be used: '
        "its inverse needs torch.solve, which torch has removed; conv1x1 is the same map"
    )


def recipe(*steps):
    return {
        "version": 1,
        "target": {"channels": 1},
        "encoder": {"type": "unet", "widths": [4, 8]},
        "flow": ["squeeze", *steps],
    }


def test_recipes_build_host_layers_and_refuse_with_the_reason():
    model = build(
        recipe(
            "nflows/act_norm",
            {"type": "nflows/affine_coupling", "hidden": 8},
            {"type": "normflows/glow_block", "hidden_channels": 8},
        )
    )
    assert model.layers[2].host.transform_net.hidden_features == 8
    image, y = torch.rand(2, 3, 4, 8), torch.randint(0, 256, (2, 1, 4, 8)) / 255
    p = model.eval()(image)
    torch.testing.assert_close(p.decode(p.encode(y)), y, rtol=0, atol=1e-5)
    p.log_prob(y).sum().backward()
    assert model.layers[2].host.transform_net.network.out.weight.grad.abs().sum() > 0
    with pytest.raises(
        RecipeError, match=r'layer "normflows/radial" cannot be used: it has no inverse\n  at '
    ):
        build(recipe("normflows/radial"))
    with pytest.raises(RecipeError, match=r'layer "nflows/tanh" has no option "slope"'):
        build(recipe({"type": "nflows/tanh", "slope": 1}))
    with pytest.raises(RecipeError, match=r"0 to 3 once each, got \[0, 0\]"):
        build(recipe({"type": "nflows/permutation", "permutation": [0, 0]}))


def test_refuse_and_register(registry_restored):
    with pytest.raises(RegistryError, match=r'^cannot refuse layer "squeeze": it is registered$'):
        registry.refuse("layer", "squeeze", "no reason")

    class Mended:
        kind = "layer"

    registry.register("normflows/radial")(Mended)
    assert registry.get("layer", "normflows/radial") is Mended
    assert "normflows/radial" not in registry.refused("layer")
