"""One flow in three libraries, with one density; and layers of the other two in a recipe.

python examples/other_libraries.py
"""

from __future__ import annotations

import normflows
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform

from flowkit import Shape, build
from flowkit.interop.normflows import as_normflows
from flowkit.layers import AffineCoupling, Conv1x1


class Gauss(normflows.distributions.BaseDistribution):
    """A standard normal with the argument that normflows hands to conditional ones."""

    def log_prob(self, z: torch.Tensor, context: object = None) -> torch.Tensor:
        return torch.distributions.Normal(0, 1).log_prob(z).flatten(1).sum(1)


def main() -> None:
    torch.manual_seed(0)
    shape, features = Shape(4, 1), Shape(3, 1)
    layers = [Conv1x1(shape), AffineCoupling(shape, features, hidden=8)]
    for weight in layers[1].parameters():
        torch.nn.init.normal_(weight, std=0.2)  # untrained couplings are the identity
    y, u = torch.randn(2, 4, 6, 8), torch.randn(2, 3, 6, 8)  # an image, and features of another

    z, log_det = y, torch.zeros(2)
    for layer in layers:
        z, change = layer(z, u)
        log_det = log_det + change
    inside_nflows = Flow(CompositeTransform(layers), StandardNormal([4, 6, 8]))
    latent_to_data = [as_normflows(layer) for layer in reversed(layers)]
    inside_normflows = normflows.ConditionalNormalizingFlow(Gauss(), latent_to_data)
    print("log p(y | u) of two images")
    print("  flowkit  ", (log_det + Gauss().log_prob(z)).tolist())
    print("  nflows   ", inside_nflows.log_prob(y, context=u).tolist())
    print("  normflows", inside_normflows.log_prob(y, context=u).tolist())

    spline = {"type": "nflows/piecewise_rational_quadratic_coupling", "tail_bound": 3.0, "hidden": 16}
    steps = ["actnorm", "normflows/invertible1x1_conv", "affine_injector", spline]
    encoder = {"type": "unet", "widths": [8, 12]}
    model = build({"version": 1, "encoder": encoder, "flow": ["squeeze", {"repeat": 2, "steps": steps}]})
    p = model(torch.rand(1, 3, 16, 24))
    print("a recipe of all three:", ", ".join(type(layer).__name__ for layer in model.layers[:5]))
    print(f"  {p.bits_per_dim(torch.rand(1, 3, 16, 24)).item():.2f} bits per dimension, untrained")


if __name__ == "__main__":
    main()
