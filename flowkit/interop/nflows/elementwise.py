"""nflows' maps of images without a network: elementwise maps and reorderings."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from nflows import transforms
from nflows.transforms import nonlinearities
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.interop.nflows.host import NflowsLayer
from flowkit.layers.base import Shape
from flowkit.registry import register


@register("nflows/identity")
class Identity(NflowsLayer):
    """The identity: y = x."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, transforms.IdentityTransform())


@register("nflows/pointwise_affine")
class PointwiseAffine(NflowsLayer):
    """y = x * scale + shift, both fixed; scale > 0."""

    example_options: ClassVar = {"shift": 0.5, "scale": 1.5}

    def __init__(self, shape: Shape, *, shift: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(shape, transforms.PointwiseAffineTransform(shift, scale))


@register("nflows/tanh")
class Tanh(NflowsLayer):
    """tanh of every value."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, transforms.Tanh())


@register("nflows/log_tanh")
class LogTanh(NflowsLayer):
    """tanh up to |x| = cut_point, a logarithm beyond: unbounded."""

    def __init__(self, shape: Shape, *, cut_point: float = 1.0) -> None:
        super().__init__(shape, transforms.LogTanh(cut_point))


@register("nflows/leaky_relu")
class LeakyReLU(NflowsLayer):
    """x where x >= 0, negative_slope * x elsewhere."""

    def __init__(self, shape: Shape, *, negative_slope: float = 1e-2) -> None:
        super().__init__(shape, _ExactLeakyReLU(negative_slope))


@register("nflows/sigmoid")
class Sigmoid(NflowsLayer):
    """sigmoid(temperature * x); the inverse keeps eps away from 0 and 1."""

    def __init__(
        self,
        shape: Shape,
        *,
        temperature: float = 1.0,
        eps: float = 1e-6,
        learn_temperature: bool = False,
    ) -> None:
        super().__init__(shape, _with_buffer(transforms.Sigmoid(temperature, eps, learn_temperature)))


@register("nflows/logit")
class Logit(NflowsLayer):
    """The inverse of `nflows/sigmoid`: takes values in [0, 1]."""

    unit = True

    def __init__(self, shape: Shape, *, temperature: float = 1.0, eps: float = 1e-6) -> None:
        host = transforms.InverseTransform(_with_buffer(transforms.Sigmoid(temperature, eps)))
        super().__init__(shape, host)


@register("nflows/cauchy_cdf")
class CauchyCDF(NflowsLayer):
    """atan(x) / pi + 1/2."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, nonlinearities.CauchyCDF())


@register("nflows/cauchy_cdf_inverse")
class CauchyCDFInverse(NflowsLayer):
    """The inverse of `nflows/cauchy_cdf`: takes values in [0, 1]."""

    unit = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, nonlinearities.CauchyCDFInverse())


@register("nflows/act_norm")
class ActNorm(NflowsLayer):
    """y = x * scale + shift per channel, initialised by the first forward pass in training.

    A channel that is constant in that pass keeps scale 1 (nflows alone makes it NaN).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, _SafeActNorm(shape.channels))


@register("nflows/permutation")
class Permutation(NflowsLayer):
    """Channel i of the output is channel permutation[i] of the input."""

    example_options: ClassVar = {"permutation": (2, 0, 4, 1, 3)}

    def __init__(self, shape: Shape, *, permutation: tuple[int, ...]) -> None:
        if sorted(permutation) != list(range(shape.channels)):
            raise ShapeError(
                f"permutation must hold 0 to {shape.channels - 1} once each, got {list(permutation)}"
            )
        super().__init__(shape, transforms.Permutation(torch.tensor(permutation)))


@register("nflows/random_permutation")
class RandomPermutation(NflowsLayer):
    """A random order of the channels, drawn once and kept with the weights."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, transforms.RandomPermutation(shape.channels))


@register("nflows/reverse_permutation")
class ReversePermutation(NflowsLayer):
    """The channels in reverse order."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, transforms.ReversePermutation(shape.channels))


@register("nflows/squeeze")
class Squeeze(NflowsLayer):
    """Space to depth by an even factor (nflows cannot invert the odd ones); as `squeeze`."""

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
