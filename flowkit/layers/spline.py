"""The conditional spline coupling."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers import rational_quadratic
from flowkit.layers.base import Shape
from flowkit.layers.coupling import Coupling
from flowkit.layers.masks import Mask
from flowkit.registry import register


@register("spline_coupling")
class SplineCoupling(Coupling):
    """[x1 | x2] -> [x1 | spline(x2; x1, u)]; log|det| = sum log spline'.

    Every element of x2 has a monotonic rational-quadratic spline of its own on [-bound, bound], made by the
    network from x1 and the features u; values outside stay as they are. An untrained layer is the identity.
    Durkan et al., Neural Spline Flows (arXiv:1906.04032).

    Args:
        shape: of the input; two channels or more, except with a checkerboard.
        context: of the features.
        bins: of each spline.
        bound: half the side of the domain; put an `actnorm` before, so that values fall into it.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions of x1 and of its last one.
        context_kernel: size of its convolution of the features; `kernel` if not given.
        mask: how x1 and x2 are taken from the input, see `Partition`.
        flip: swap x1 and x2.

    Raises:
        ShapeError: less than 2 bins, or a bound that is not positive and finite.

    >>> import torch
    >>> from flowkit.layers import Shape, SplineCoupling
    >>> layer = SplineCoupling(Shape(4, 2), Shape(8, 2), bins=6, hidden=16)
    >>> x, features = torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5)
    >>> bool(torch.allclose(layer(x, features)[0], x, atol=1e-5))  # untrained: the identity
    True
    """

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        bins: int = 8,
        bound: float = 3.0,
        hidden: int = 64,
        kernel: int = 3,
        context_kernel: int | None = None,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        if bins < 2:
            raise ShapeError(f"bins must be 2 or more, got {bins}")
        if not 0 < bound < float("inf"):
            raise ShapeError(f"bound must be positive and finite, got {bound}")
        super().__init__(
            shape,
            context,
            parameters=rational_quadratic.count(bins),
            hidden=hidden,
            kernel=kernel,
            context_kernel=context_kernel,
            mask=mask,
            flip=flip,
        )
        self.bins = bins
        self.bound = bound

    def _move(
        self, moved: Tensor, parameters: Tensor, cells: Tensor | None, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        raw = rearrange(parameters, "b (n c) h w -> b n c h w", c=moved.shape[1])
        out, log_slope = rational_quadratic.spline(moved, raw, bound=self.bound, inverse=inverse)
        if cells is not None:
            out, log_slope = out.where(cells > 0, moved), log_slope * cells
        return out, log_slope.flatten(1).sum(1)
