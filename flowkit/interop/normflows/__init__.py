"""Flows of normflows under `normflows/<name>`: the class in snake case, without the word Flow.

`as_normflows` is the other way round.
"""

from flowkit.interop.normflows import flows, vectors
from flowkit.interop.normflows.host import NormflowsLayer, as_normflows
from flowkit.registry import refuse

_ANGLES = "it is for angles: values beyond the bound are wrapped"
REFUSED = {
    "planar": "with tanh it has no inverse, with leaky_relu its slopes are float32 whatever the data",
    "radial": "it has no inverse",
    "batch_norm": "it has no inverse and mixes the samples of a batch",
    "residual": "its log-determinant is a random estimate, and its inverse an iteration that is off by 1e-5",
    "split": "it gives a list of tensors; split does its work",
    "merge": "it takes a list of tensors; split does its work",
    "affine_coupling": "it takes a list of tensors; it is inside normflows/affine_coupling_block",
    "cc_affine_const": "it takes a one-hot class, not an image; affine_injector takes features",
    "circular_coupled_rational_quadratic_spline": _ANGLES,
    "circular_autoregressive_rational_quadratic_spline": _ANGLES,
    "periodic_wrap": _ANGLES,
    "periodic_shift": _ANGLES,
    "metropolis_hastings": "it is a random walk, not a bijection",
    "hamiltonian_monte_carlo": "it is a random walk, not a bijection",
    "reverse": "it takes another flow; inverse does its work",
    "composite": "it takes other flows; a recipe's list of steps is one",
}
for _name, _why in REFUSED.items():
    refuse("layer", f"normflows/{_name}", _why)

__all__ = ["REFUSED", "NormflowsLayer", "as_normflows", "flows", "vectors"]
