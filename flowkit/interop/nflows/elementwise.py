"""nflows' maps of images without a network: elementwise maps and reorderings."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import torch
from nflows import transforms
from nflows.transforms import nonlinearities
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.adapter import Typed, adapt
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.layers.base import Shape
from flowkit.registry import register


@register("nflows/squeeze")
class Squeeze(NflowsLayer):
    """Space to depth by an even factor (nflows cannot invert the odd ones); as `squeeze`.

    Raises:
        ShapeError: the factor is odd, or less than 2.
    """

    example_options: ClassVar = {"size": (4, 6)}

    def __init__(self, shape: Shape, *, factor: int = 2) -> None:
        if factor < 2 or factor % 2:
            raise ShapeError(f"nflows inverts even factors only, got {factor}; squeeze takes any")
        super().__init__(shape, transforms.SqueezeTransform(factor))
        self.out_shape = Shape(shape.channels * factor**2, shape.stride * factor)


class _ExactLeakyReLU(transforms.LeakyReLU):  # type: ignore[misc]
    """Log-dets in the data's dtype and on its device: nflows' own are float32, on the CPU."""

    def __init__(self, negative_slope: float) -> None:
        super().__init__(negative_slope)
        self.log_slope = math.log(negative_slope)
        del self.log_negative_slope

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        outputs = nn.functional.leaky_relu(inputs, self.negative_slope)
        return outputs, self._log_det(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        outputs = nn.functional.leaky_relu(inputs, 1 / self.negative_slope)
        return outputs, -self._log_det(inputs)

    def _log_det(self, inputs: Tensor) -> Tensor:
        return (inputs < 0).flatten(1).sum(1).to(inputs.dtype) * self.log_slope


class _SafeActNorm(transforms.ActNorm):  # type: ignore[misc]
    @torch.no_grad()
    def _initialize(self, inputs: Tensor) -> None:
        mean = inputs.mean((0, 2, 3))
        std = (inputs - mean[:, None, None]).square().mean((0, 2, 3)).sqrt()
        scale = torch.where(std > 1e-5, 1 / std, torch.ones_like(std))
        self.log_scale.copy_(scale.log())
        self.shift.copy_(-mean * scale)
        self.initialized.fill_(True)


def _with_buffer(sigmoid: Any) -> Any:
    """Make the temperature a buffer: nflows' tensor attribute stays float32 and on the CPU."""
    temperature = sigmoid.temperature
    if not isinstance(temperature, nn.Parameter):
        del sigmoid.temperature
        sigmoid.register_buffer("temperature", temperature)
    return sigmoid


def _sigmoid(**options: Any) -> nn.Module:
    made: nn.Module = _with_buffer(transforms.Sigmoid(**options))
    return made


def _logit(**options: Any) -> nn.Module:
    made: nn.Module = transforms.InverseTransform(_sigmoid(**options))
    return made


def _permutation(shape: Shape, permutation: tuple[int, ...]) -> nn.Module:
    if sorted(permutation) != list(range(shape.channels)):
        raise ShapeError(
            f"permutation must hold 0 to {shape.channels - 1} once each, got {list(permutation)}"
        )
    made: nn.Module = transforms.Permutation(torch.tensor(permutation))
    return made


_TEMPERATURE = {"temperature": 1.0, "eps": 1e-6}

_add = functools.partial(adapt, NflowsLayer, __name__)
_add("nflows/identity", "The identity: y = x.", transforms.IdentityTransform)
_add(
    "nflows/pointwise_affine",
    "y = x * scale + shift, both fixed; scale > 0.",
    transforms.PointwiseAffineTransform,
    {"shift": 0.0, "scale": 1.0},
    example_options={"shift": 0.5, "scale": 1.5},
)
_add("nflows/tanh", "tanh of every value.", transforms.Tanh)
_add(
    "nflows/log_tanh",
    "tanh up to |x| = cut_point, a logarithm beyond: unbounded.",
    transforms.LogTanh,
    {"cut_point": 1.0},
)
_add(
    "nflows/leaky_relu",
    "x where x >= 0, negative_slope * x elsewhere.",
    _ExactLeakyReLU,
    {"negative_slope": 1e-2},
)
_add(
    "nflows/sigmoid",
    "sigmoid(temperature * x); the inverse keeps eps away from 0 and 1.",
    _sigmoid,
    {**_TEMPERATURE, "learn_temperature": False},
)
_add(
    "nflows/logit",
    "The inverse of `nflows/sigmoid`: takes values in [0, 1].",
    _logit,
    _TEMPERATURE,
    unit=True,
)
_add("nflows/cauchy_cdf", "atan(x) / pi + 1/2.", nonlinearities.CauchyCDF)
_add(
    "nflows/cauchy_cdf_inverse",
    "The inverse of `nflows/cauchy_cdf`: takes values in [0, 1].",
    nonlinearities.CauchyCDFInverse,
    unit=True,
)
_add(
    "nflows/act_norm",
    "y = x * scale + shift per channel, initialised by the first forward pass in training.\n\n"
    "A channel that is constant in that pass keeps scale 1 (nflows alone makes it NaN).",
    _SafeActNorm,
)
_add(
    "nflows/permutation",
    "Channel i of the output is channel permutation[i] of the input.",
    _permutation,
    {"permutation": Typed(tuple[int, ...])},
    example_options={"permutation": (2, 0, 4, 1, 3)},
)
_add(
    "nflows/random_permutation",
    "A random order of the channels, drawn once and kept with the weights.",
    transforms.RandomPermutation,
)
_add("nflows/reverse_permutation", "The channels in reverse order.", transforms.ReversePermutation)
