"""Targets: the images that the flow models, as continuous variables with a density.

A target y becomes v, and back. Training draws v at random around y (dequantisation; Theis et al.,
arXiv:1511.01844), and log p(y) >= log p(v) - log q(v | y) bounds the likelihood of the discrete y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.registry import register

Generators = torch.Generator | Sequence[torch.Generator] | None
"""torch's own (None); a given one; or one for each image of a batch: then what is drawn for an image does not
depend on the batch that it is in."""

Noise = Generators | Tensor
"""Dequantisation noise: generators, or the numbers themselves, of y's shape."""

ROUNDING = 1e-4  # by so much values may leave [0, 1]: resized images have rounding errors


class Target(nn.Module):
    """The base class of targets.

    Attributes:
        channels: of y, and of v.
        nll_of: what a negative log-likelihood of this target measures, to be said with every figure.
        values: what `admits` lets through, in words.

    Raises:
        ShapeError: the channels are not positive.
    """

    kind = "target"
    nll_of: str
    values: str = "finite values"

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ShapeError(f"channels must be positive, got {channels}")
        self.channels = channels

    def dequantise(self, y: Tensor, generator: Noise = None) -> tuple[Tensor, Tensor]:
        """Draw v ~ q(v | y): v of y's shape, and log q(v | y) (B,), in nats."""
        raise NotImplementedError

    def embed(self, y: Tensor) -> Tensor:
        """Return the v in the middle of q(v | y), which `restore` maps to y."""
        raise NotImplementedError

    def restore(self, v: Tensor) -> Tensor:
        """Return the y of v; NaN where v is not finite."""
        raise NotImplementedError

    def admits(self, y: Tensor) -> Tensor:
        """Return, for every value, whether a target may have it: boolean, of y's shape."""
        return y.isfinite()


@register("binary")
class Binary(Target):
    """A binary image, 1 = ink: the sign of v is the pixel, so P(ink | page) is P(v > 0).

    - `normal`: |v| ~ N(1, 1/9), cut at 0. A flow that is certain of a pixel needs nothing but an affine map
      to reach 0 bits, and its samples keep the sign.
    - `uniform`: |v| ~ U(0, 1).

    >>> target = Binary()
    >>> target.embed(torch.tensor([0.0, 1.0])), target.restore(torch.tensor([-0.2, 0.7]))
    (tensor([-1.,  1.]), tensor([0., 1.]))

    Either way q(v | y) lives on y's side of 0 alone, so that the NLL bounds the bits of the binary image
    (Winkler et al., arXiv:1912.00042, dequantise binary data alike).

    Args:
        channels: of the image.
        noise: the shape of q.
    """

    nll_of = "binary pixels (upper bound)"
    values = "0 or 1 everywhere (1 = ink)"
    SIGMA = 1 / 3

    def __init__(self, *, channels: int = 1, noise: Literal["normal", "uniform"] = "normal") -> None:
        super().__init__(channels)
        self.noise = noise

    def dequantise(self, y: Tensor, generator: Noise = None) -> tuple[Tensor, Tensor]:
        """Draw a random magnitude with the pixel's sign."""
        u = _drawn(torch.rand, y, generator)
        sign = torch.where(y > 0.5, 1.0, -1.0).to(y.dtype)
        if self.noise == "uniform":
            return sign * (1 - u), y.new_zeros(
                y.shape[0]
            )  # 1 - u, because u may be 0 and a sign needs v != 0
        below = _normal_cdf(-1 / self.SIGMA)
        # Quantiles 0 and 1 are out of reach of the arithmetic, hence the clamp.
        normal = torch.special.ndtri((below + (1 - below) * u).clamp(below * 1.001, 1 - 1e-7))
        density = -0.5 * normal.square() - math.log(self.SIGMA * math.sqrt(2 * math.pi) * (1 - below))
        return sign * (1 + self.SIGMA * normal), density.flatten(1).sum(1)

    def embed(self, y: Tensor) -> Tensor:
        """Return +-1, or +-1/2 for uniform noise: the mean of q."""
        return torch.where(y > 0.5, 1.0, -1.0).to(y.dtype) * (1.0 if self.noise == "normal" else 0.5)

    def restore(self, v: Tensor) -> Tensor:
        """Return 1 where v > 0, else 0; NaN where v is not finite, which would otherwise become paper."""
        v = v.detach()
        return (v > 0).to(v.dtype) + 0 * v

    def admits(self, y: Tensor) -> Tensor:
        """Admit 0 and 1 only: a grey target is ambiguous."""
        return (y == 0) | (y == 1)


@register("continuous")
class Continuous(Target):
    """An image in [0, 1].

    - `uniform`: 8-bit levels k/255 become v = (k + u) / 256, u ~ U(0, 1): the NLL bounds the bits of the
      8-bit image (log q = C H W log 256), and `restore` gives levels back.
    - `gaussian`: v = y + sigma n with sigma = 4 / sqrt(3) grey levels, as SRFlow's paper; the NLL is of the
      density of v (log q = 0).
    - `none`: v = y; of real values only, since an 8-bit image has no density.

    >>> target = Continuous()
    >>> levels = torch.tensor([0.0, 0.2, 1.0])
    >>> torch.equal(target.restore(target.embed(levels)), levels)
    True

    Args:
        channels: of the image.
        noise: as above.
    """

    SIGMA = 4 / math.sqrt(3) / 255
    FAR = 16.0
    """Real values beyond +-FAR are taken for levels that were not divided by 255; samples do not reach it."""

    def __init__(
        self, *, channels: int = 3, noise: Literal["uniform", "gaussian", "none"] = "uniform"
    ) -> None:
        super().__init__(channels)
        self.noise = noise
        self.nll_of = "8-bit values (upper bound)" if noise == "uniform" else "a density of values in [0, 1]"
        self.values = "values in [0, 1]"

    def dequantise(self, y: Tensor, generator: Noise = None) -> tuple[Tensor, Tensor]:
        """Add the noise."""
        log_q = y.new_zeros(y.shape[0])
        if self.noise == "uniform":
            levels = (255 * y).round()
            return (levels + _drawn(torch.rand, y, generator)) / 256, log_q + math.log(256) * y[0].numel()
        if self.noise == "gaussian":
            return y + self.SIGMA * _drawn(torch.randn, y, generator), log_q
        return y, log_q

    def embed(self, y: Tensor) -> Tensor:
        """Return the middle of a level, or y itself."""
        return (255 * y + 0.5) / 256 if self.noise == "uniform" else y

    def restore(self, v: Tensor) -> Tensor:
        """Return the level that contains v, or v itself; not clipped to [0, 1] unless levels are."""
        if self.noise != "uniform":
            return v
        v = v.detach()
        return (256 * v).floor().clamp(0, 255) / 255 + 0 * v

    def admits(self, y: Tensor) -> Tensor:
        """Admit [0, 1]; without levels also samples, which may exceed it."""
        if self.noise == "uniform":
            return (y >= -ROUNDING) & (y <= 1 + ROUNDING)
        return y.abs() <= self.FAR


def draw(numbers: Callable[..., Tensor], shape: Sequence[int], like: Tensor, generator: Generators) -> Tensor:
    """Draw numbers of `like`'s dtype and device: from one generator, or for each row from its own.

    A row's numbers do not depend on the others where it has a generator of its own.

    Args:
        numbers: `torch.rand` or `torch.randn`.
        shape: of the result; its first dimension counts rows.
        like: a tensor.
        generator: one, or one for each row, on any device; None for torch's own.
    """
    if isinstance(generator, Sequence):
        each = zip(range(shape[0]), generator, strict=True)
        return torch.stack([draw(numbers, shape[1:], like, of_row) for _, of_row in each])
    device = generator.device if generator is not None else like.device
    return numbers(tuple(shape), generator=generator, dtype=like.dtype, device=device).to(like.device)


def _drawn(numbers: Callable[..., Tensor], like: Tensor, noise: Noise) -> Tensor:
    return noise if isinstance(noise, Tensor) else draw(numbers, like.shape, like, noise)


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))
