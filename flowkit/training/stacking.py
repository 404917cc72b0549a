"""A model with a stacked encoder, assembled from two models that were trained one after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from flowkit.encoders.stacked import Stacked
from flowkit.errors import ShapeError
from flowkit.flow import ConditionalFlow
from flowkit.layers import AffineInjector, Squeeze
from flowkit.losses import CrossEntropy
from flowkit.recipe import Recipe, build, read_recipe


def without_first(recipe: Recipe) -> Recipe:
    """Return the recipe of the second part alone, to be trained by `CrossFit`.

    Raises:
        ShapeError: the recipe's encoder is not stacked.
    """
    encoder = recipe.data["encoder"]
    if encoder.get("type") != "stacked" or "first" not in encoder:
        raise ShapeError(f"{recipe.name}: expected a recipe whose encoder is stacked, with a first part")
    second = {name: value for name, value in encoder.items() if name not in ("first", "hidden")}
    return read_recipe({**recipe.data, "encoder": second})


@torch.no_grad()
def stack(first: ConditionalFlow, second: ConditionalFlow, recipe: Recipe) -> ConditionalFlow:
    """Build a recipe's model with the weights of its two parts.

    Args:
        first: gives the verdicts: trained by `cross_entropy`, its layers `squeeze` and an `affine_injector`
            of kernel 1, its encoder the first of the recipe's `stacked` encoder. Its v at temperature 0,
            which is -shift, is the log-odds over `CrossEntropy.slope`.
        second: trained on images with verdicts (`CrossFit`); its encoder is `stacked` without `first`, its
            layers are those of the recipe.
        recipe: of the whole.

    Raises:
        ShapeError: a part is not as described.
    """
    model = build(recipe)
    encoder = model.encoder
    if not isinstance(encoder, Stacked) or encoder.first is None or encoder.head is None:
        found = type(encoder).__name__
        raise ShapeError(f"stack: the recipe's encoder is a {found}, expected a Stacked of two")
    if not isinstance(second.encoder, Stacked) or second.encoder.first is not None:
        raise ShapeError("stack: the second part's encoder is no Stacked of one")
    layers = list(first.flow_layers())
    if [type(layer) for layer in layers] != [Squeeze, AffineInjector]:
        found = ", ".join(type(layer).__name__ for layer in layers)
        raise ShapeError(f"stack: the layers of the first part are {found}, expected Squeeze, AffineInjector")
    network = layers[1].network
    assert isinstance(layers[1], AffineInjector)
    slope = CrossEntropy(first.target).slope
    cells = encoder.head[4].out_channels
    heads: list[dict[str, Tensor]] = [
        network.on_context.state_dict(),
        network.mix.state_dict(),
        {name: -slope * value[:cells] for name, value in network.out.state_dict().items()},
    ]
    for part, weights in (
        (encoder.first, first.encoder.state_dict()),
        (encoder.second, second.encoder.second.state_dict()),
        (model.layers, second.layers.state_dict()),
        *zip((encoder.head[0], encoder.head[2], encoder.head[4]), heads, strict=True),
    ):
        try:
            part.load_state_dict(weights)
        except RuntimeError as error:
            line = str(error).partition("\n")[2].strip() or str(error)
            raise ShapeError(f"stack: weights of another model for {type(part).__name__}: {line}") from None
    return model.eval()
