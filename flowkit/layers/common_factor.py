"""The common factor: one latent that the whole image shares, integrated out exactly."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from flowkit.layers.base import Shape
from flowkit.layers.network import ConditionalNetwork, Conditioned
from flowkit.layers.saved_hidden import Noted
from flowkit.registry import register

START = 0.1
"""Loadings of an untrained layer, not 0, where their gradient would be 0."""


class Sums(NamedTuple):
    """Sums over an image, or a part of it, that make up the density of its common factor.

    Attributes:
        squares: a = |w|^2.
        along: b = w . x.
    """

    squares: float = 0.0
    along: float = 0.0

    def plus(self, other: Sums, times: int = 1) -> Sums:
        """Add another part's sums, multiplied by `times`."""
        return Sums(self.squares + times * other.squares, self.along + times * other.along)

    def log_ratio(self) -> float:
        """Return log N(x; 0, I + w w^T) - log N(x; 0, I) = (b^2 / (1 + a) - log(1 + a)) / 2."""
        return 0.5 * (self.along**2 / (1 + self.squares) - math.log1p(self.squares))


@register("common_factor")
class CommonFactor(Conditioned):
    """z = (I + w w^T)^(-1/2) x for loadings w(u): x has the density N(0, I + w w^T); log|det| = -log r.

    That is the density of x = e + w n for independent standard normal e, one for each value, and n, ONE for
    the whole image, which moves all values together, each by its loading; it can stand for the boldness of
    the writing. n is integrated out, so the density is exact. With a = |w|^2 and r = sqrt(1 + a), all sums
    being over channels and cells,

        z = x - w (w . x) / (r (r + 1)),    x = z + w (w . z) / (r + 1).

    The factor has rank one, as in factor analysis (Rubin and Thayer, Psychometrika 1982). Put the layer last,
    on the coarsest level. A page is still processed in tiles, which share n. Samples of tiles are
    x = e + w n: they have the same distribution as those of `inverse`, but not the same values.

    Args:
        shape: of the input.
        context: of the features.
        hidden: channels inside the network of the loadings.

    Attributes:
        whole_image: True: an output depends on inputs and features at any distance.

    >>> import torch
    >>> from flowkit.layers import CommonFactor, Shape
    >>> layer = CommonFactor(Shape(1, 32), Shape(8, 32), hidden=16)
    >>> x, features = torch.randn(2, 1, 6, 5), torch.randn(2, 8, 6, 5)
    >>> z, log_det = layer(x, features)
    >>> bool(torch.allclose(layer.inverse(z, features)[0], x, atol=1e-5)), log_det.shape
    (True, torch.Size([2]))
    """

    whole_image = True
    example_options: ClassVar = {"hidden": 4}

    def __init__(self, shape: Shape, context: Shape, *, hidden: int = 32) -> None:
        super().__init__(shape, context)
        self.network = ConditionalNetwork(
            0, context.channels, shape.channels, hidden=hidden, kernel=1, context_kernel=1
        )
        assert self.network.out.bias is not None
        nn.init.constant_(self.network.out.bias, START)

    def complete(self, projected: Tensor | Noted) -> tuple[Tensor]:
        """Compute the loadings w (B, C, h, w)."""
        return (self.network(projected),)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Take the common factor out of data."""
        (loadings,) = context
        length = self._length(loadings)
        share = -1 / (length * (length + 1))
        return self._moved(inputs, loadings, share), -torch.log(length)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Put the common factor back into latents."""
        (loadings,) = context
        length = self._length(loadings)
        log_det = torch.log(length).expand(inputs.shape[0])
        return self._moved(inputs, loadings, 1 / (length + 1)), log_det

    def sums(self, inputs: Tensor, context: tuple[Tensor]) -> Sums:
        """Return the sums of a part of an image."""
        loadings, inputs = context[0].detach().double(), inputs.detach().double()
        return Sums(float(loadings.square().sum()), float((loadings * inputs).sum()))

    @staticmethod
    def _length(loadings: Tensor) -> Tensor:
        """Compute r = sqrt(1 + |w|^2), (B,)."""
        return (1 + loadings.square().flatten(1).sum(1)).sqrt()

    @staticmethod
    def _moved(inputs: Tensor, loadings: Tensor, share: Tensor) -> Tensor:
        along = (inputs * loadings).flatten(1).sum(1) * share
        return inputs + along[:, None, None, None] * loadings
