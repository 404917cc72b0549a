"""Transforms of nflows under `nflows/<name>`: the class in snake case, without the word Transform.

The other way round nothing is needed: flowkit's layers are nflows transforms.
"""

from flowkit.interop.nflows import autoregressive, coupling, elementwise, pixelwise
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.registry import refuse

REFUSED = {
    "naive_linear": "its inverse needs torch.solve, which torch has removed; conv1x1 is the same map",
    "batch_norm": "it takes vectors, has no inverse in training, and mixes the samples of a batch",
    "gated_linear_unit": "its log-determinant is wrong: it is not summed over the elements of a sample",
    "affine": "a deprecated name; it is nflows/pointwise_affine",
    "affine_scalar": "a deprecated name; it is nflows/pointwise_affine",
    "composite": "it takes other transforms; a recipe's list of steps is one",
    "composite_cdf": "it takes other transforms; write its three steps: nflows/sigmoid, a cdf, nflows/logit",
    "inverse": "it takes another transform; inverse does its work",
    "multiscale_composite": "it flattens its latents and takes other transforms; split does its work",
}
for _name, _why in REFUSED.items():
    refuse("layer", f"nflows/{_name}", _why)

__all__ = ["REFUSED", "NflowsLayer", "autoregressive", "coupling", "elementwise", "pixelwise"]
