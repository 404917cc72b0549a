"""The split: half of the channels leave the flow between two levels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape, no_log_det
from flowkit.layers.network import ConditionalNetwork, Conditioned, Low, apply_gain
from flowkit.layers.saved_hidden import Noted
from flowkit.ops import affine_packed
from flowkit.ops.scale import Scale
from flowkit.registry import register


class _Split(FlowLayer):
    """[x1 | x2] -> [x1 | e], e = (x2 + shift) * s; `_prior` computes shift and s."""

    def __init__(self, shape: Shape, context: Shape | None, scale: Scale, keep: int | None) -> None:
        super().__init__(shape, context)
        if shape.channels < 2:
            raise ShapeError(f"a split needs 2 channels or more, got {shape.channels}")
        kept = shape.channels // 2 if keep is None else keep
        if not 1 <= kept < shape.channels:
            raise ShapeError(
                f"keep must be 1 to {shape.channels - 1} of {shape.channels} channels, got {keep}"
            )
        self.scale = scale
        self.latent_channels = shape.channels - kept
        self.out_shape = Shape(kept, shape.stride)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Standardise the part that leaves the flow."""
        return self._apply_to_second(inputs, context, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo the standardisation of the part that left."""
        return self._apply_to_second(inputs, context, inverse=True)

    def _apply_to_second(self, inputs: Tensor, context: Any, *, inverse: bool) -> tuple[Tensor, Tensor]:
        kept = self.out_shape.channels
        prior = self._prior(inputs[:, :kept], context)
        if prior is None:
            return inputs, no_log_det(inputs)
        return affine_packed(inputs, prior, start=kept, scale=self.scale, inverse=inverse)

    def _prior(self, kept: Tensor, context: Any) -> Tensor | None:
        """Compute [shift | raw] (B, 2 C2, H, W), or return None for the identity."""
        raise NotImplementedError


@register("split")
class Split(_Split):
    """[x1 | x2] -> [x1 | e], e = (x2 + shift(x1)) * s(x1); x1 goes on, e leaves as a latent.

    That is a learned Gaussian prior p(x2 | x1) written as a bijection: e is standard normal under it, and
    log|det| = sum log s(x1). x1 is the first floor(C/2) channels, as in Glow (arXiv:1807.03039) and SRFlow;
    or the first `keep`. After `haar` on one channel, `keep=1` keeps the averages, and the details leave, as
    in Wavelet Flow (arXiv:2010.13821).

    Args:
        shape: of the input; two channels or more.
        keep: channels of x1; by default half of them, rounded down.
        scale: the scale map, see `flowkit.ops.log_scale`.
        prior: of x2: `kept`, learned from x1; or `standard`, a standard normal, so that e is x2, as in
            RealNVP (arXiv:1605.08803). For a prior that reads the image, see `conditional_split`.
        gain: give shift and raw scale learned gains, exp(3 g), as in SRFlow's code (whose scale is `exp`).

    Raises:
        ShapeError: one channel, or a gain on a standard prior.

    >>> import torch
    >>> from flowkit.layers import Shape, Split
    >>> layer = Split(Shape(12, 2))
    >>> layer.out_shape, layer.latent_channels
    (Shape(channels=6, stride=2), 6)
    >>> z, log_det = layer(torch.randn(2, 12, 6, 5))
    >>> kept, latent = z.split(6, dim=1)
    """

    def __init__(
        self,
        shape: Shape,
        *,
        keep: int | None = None,
        scale: Scale = "soft",
        prior: Literal["standard", "kept"] = "kept",
        gain: bool = False,
    ) -> None:
        super().__init__(shape, None, scale, keep)
        self.prior = None
        self.gain: nn.Parameter | None = None
        if prior == "kept":
            self.reach = 1
            self.prior = nn.Conv2d(self.out_shape.channels, 2 * self.latent_channels, 3, padding=1)
            for parameter in self.prior.parameters():
                nn.init.zeros_(parameter)
            if gain:
                self.gain = nn.Parameter(torch.zeros(2 * self.latent_channels, 1, 1))
        elif gain:
            raise ShapeError("a standard prior has nothing to gain; gain needs prior: kept")

    def _prior(self, kept: Tensor, context: Any) -> Tensor | None:
        return None if self.prior is None else apply_gain(self.prior(kept), self.gain)


@register("conditional_split")
class ConditionalSplit(_Split, Conditioned):
    """[x1 | x2] -> [x1 | e], e = (x2 + shift(x1, u)) * s(x1, u): a split whose prior reads the image.

    As `split`, with a Gaussian prior p(x2 | x1, u) or p(x2 | u) for features u; what reads only u is computed
    once, in `condition`. Lugmayr et al., SRFlow (arXiv:2006.14200).

    Args:
        shape: of the input; two channels or more.
        context: of the features.
        keep: channels of x1, as in `split`.
        prior: what the prior reads: `features`, the image alone; `both`, the image and x1.
        hidden: channels inside its network.
        kernel: size of the network's first and last convolution.
        scale: the scale map, see `flowkit.ops.log_scale`.

    >>> import torch
    >>> from flowkit.layers import ConditionalSplit, Shape
    >>> layer = ConditionalSplit(Shape(12, 2), Shape(8, 2), hidden=16)
    >>> z, log_det = layer(torch.randn(2, 12, 6, 5), torch.randn(2, 8, 6, 5))
    >>> z.shape, layer.latent_channels
    (torch.Size([2, 12, 6, 5]), 6)
    """

    example_options: ClassVar = {"hidden": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        keep: int | None = None,
        prior: Literal["features", "both"] = "both",
        hidden: int = 64,
        kernel: int = 3,
        scale: Scale = "soft",
    ) -> None:
        super().__init__(shape, context, scale, keep)
        self.reads_kept = prior == "both"
        self.network = ConditionalNetwork(
            self.out_shape.channels if self.reads_kept else 0,
            context.channels,
            2 * self.latent_channels,
            hidden=hidden,
            kernel=kernel,
            context_kernel=kernel,
        )
        self.reach = self.network.reach

    def complete(self, projected: Tensor | Noted) -> tuple[Tensor | Noted | Low]:
        """Return the image's part of the first convolution (`both`), or [shift | raw scale] (`features`)."""
        return (self.network.for_latents(projected) if self.reads_kept else self.network(projected),)

    def _prior(self, kept: Tensor, context: Any) -> Tensor | None:
        (conditioned,) = context
        prior: Tensor = self.network(conditioned, kept) if self.reads_kept else conditioned
        return prior
