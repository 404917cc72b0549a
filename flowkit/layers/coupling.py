"""Couplings: one part of the input, with the image, determines an elementwise map of the other part."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from flowkit.layers.base import Shape, no_log_det
from flowkit.layers.masks import Mask, Partition
from flowkit.layers.network import ConditionalNetwork, Conditioned, Low, Network
from flowkit.layers.saved_hidden import Noted
from flowkit.ops import affine, affine_packed, log_scale
from flowkit.ops.scale import Scale, check_eps
from flowkit.registry import register


class Coupling(Conditioned):
    """[x1 | x2] -> [x1 | map(x2; x1, u)]; log|det| = sum log map'.

    x1 is the kept part, x2 the moved one, see `Partition`. The part of the network that reads only the
    features u is computed once, in `condition`. To write a coupling, implement `_move`.

    Args:
        shape: of the input; two channels or more, except with a checkerboard.
        context: of the features.
        parameters: how many the map has per element of x2; an untrained network gives 0 for all.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions of x1 and of its last one.
        context_kernel: size of its convolution of the features; `kernel` if not given.
        mask: how x1 and x2 are taken from the input.
        flip: swap x1 and x2.
        network: `plain`, or `srflow`, see `ConditionalNetwork`.
    """

    example_options: ClassVar = {"hidden": 4}

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        parameters: int,
        hidden: int,
        kernel: int,
        context_kernel: int | None,
        mask: Mask,
        flip: bool,
        network: Network = "plain",
    ) -> None:
        super().__init__(shape, context)
        self.partition = Partition(shape.channels, mask, flip)
        self.grid = 2 if mask == "checkerboard" else 1
        self.network = ConditionalNetwork(
            self.partition.kept,
            context.channels,
            parameters * self.partition.moved,
            hidden=hidden,
            kernel=kernel,
            context_kernel=kernel if context_kernel is None else context_kernel,
            network=network,
        )
        self.reach = self.network.reach

    def complete(self, projected: Tensor | Noted) -> tuple[Tensor | Noted | Low]:
        """Return the image's part of the network's first convolution (B, hidden, h, w), unchanged."""
        return (self.network.for_latents(projected),)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map the moved part."""
        return self._run(inputs, context, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map the moved part back; the kept part, unchanged, determines the map."""
        return self._run(inputs, context, inverse=True)

    def extra_repr(self) -> str:
        """Return the mask, for `print(model)`."""
        return f"mask={self.partition.mask}" + (", flip=True" if self.partition.flip else "")

    def _run(self, inputs: Tensor, context: Any, *, inverse: bool) -> tuple[Tensor, Tensor]:
        kept, moved, cells = self.partition.split(inputs)
        parameters = self.network(*context, kept, initialise=not inverse).to(inputs.dtype)
        whole = self._move_within(inputs, parameters, inverse=inverse)
        if whole is not None:
            return whole
        moved, log_det = self._move(moved, parameters, cells, inverse=inverse)
        return self.partition.join(kept, moved), log_det

    def _move_within(
        self, inputs: Tensor, parameters: Tensor, *, inverse: bool
    ) -> tuple[Tensor, Tensor] | None:
        """Return the whole output at once if the map can compute it, or None if its parts must be joined."""
        return None

    def _move(
        self, moved: Tensor, parameters: Tensor, cells: Tensor | None, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        """Map x2 by the network's output (B, parameters * C2, H, W), except where `cells` is 0."""
        raise NotImplementedError


@register("affine_coupling")
class AffineCoupling(Coupling):
    """[x1 | x2] -> [x1 | (x2 + shift(x1, u)) * s(x1, u)]; log|det| = sum log s(x1, u).

    Dinh et al., RealNVP (arXiv:1605.08803); conditional as in SRFlow (arXiv:2006.14200).

    Args:
        shape: of the input; two channels or more, except with a checkerboard.
        context: of the features.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions of x1 and of its last one.
        context_kernel: size of its convolution of the features; `kernel` if not given.
        scale: the scale map, see `flowkit.ops.log_scale`.
        eps: added to the scale; SRFlow has 1e-4 with `sigmoid`.
        mask: how x1 and x2 are taken from the input, see `Partition`.
        flip: swap x1 and x2.
        network: `plain`, or `srflow`, as in its code, see `ConditionalNetwork`.

    >>> import torch
    >>> from flowkit.layers import AffineCoupling, Shape
    >>> layer = AffineCoupling(Shape(4, 2), Shape(8, 2), hidden=16)
    >>> x, features = torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5)
    >>> u = layer.condition(features)  # once per image
    >>> z, log_det = layer(x, u)
    >>> torch.equal(z[:, :2], x[:, :2]), log_det.shape
    (True, torch.Size([2]))
    """

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        context_kernel: int | None = None,
        scale: Scale = "soft",
        eps: float = 0.0,
        mask: Mask = "half",
        flip: bool = False,
        network: Network = "plain",
    ) -> None:
        super().__init__(
            shape,
            context,
            parameters=2,
            hidden=hidden,
            kernel=kernel,
            context_kernel=context_kernel,
            mask=mask,
            flip=flip,
            network=network,
        )
        self.scale = scale
        self.eps = check_eps(eps)

    def _move_within(
        self, inputs: Tensor, parameters: Tensor, *, inverse: bool
    ) -> tuple[Tensor, Tensor] | None:
        start = self.partition.start
        if start is None:
            return None
        return affine_packed(inputs, parameters, start=start, scale=self.scale, eps=self.eps, inverse=inverse)

    def _move(
        self, moved: Tensor, parameters: Tensor, cells: Tensor | None, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        if cells is None:
            return affine_packed(moved, parameters, scale=self.scale, eps=self.eps, inverse=inverse)
        shift, raw = parameters.chunk(2, dim=1)
        # A shift and a log-scale of 0 keep a value bit by bit, and add 0 to the log-det.
        log_s = log_scale(raw, self.scale, self.eps) * cells
        return affine(moved, shift * cells, log_s, scale="exp", inverse=inverse)


@register("additive_coupling")
class AdditiveCoupling(Coupling):
    """[x1 | x2] -> [x1 | x2 + shift(x1, u)]; log|det| = 0.

    Dinh et al., NICE (arXiv:1410.8516).

    Args:
        shape: of the input; two channels or more, except with a checkerboard.
        context: of the features.
        hidden: channels inside the conditioning network.
        kernel: size of its convolutions of x1 and of its last one.
        context_kernel: size of its convolution of the features; `kernel` if not given.
        mask: how x1 and x2 are taken from the input, see `Partition`.
        flip: swap x1 and x2.

    >>> import torch
    >>> from flowkit.layers import AdditiveCoupling, Shape
    >>> layer = AdditiveCoupling(Shape(4, 2), Shape(8, 2), hidden=16, mask="alternate")
    >>> z, log_det = layer(torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5))
    >>> log_det
    tensor([0., 0.])
    """

    def __init__(
        self,
        shape: Shape,
        context: Shape,
        *,
        hidden: int = 64,
        kernel: int = 3,
        context_kernel: int | None = None,
        mask: Mask = "half",
        flip: bool = False,
    ) -> None:
        super().__init__(
            shape,
            context,
            parameters=1,
            hidden=hidden,
            kernel=kernel,
            context_kernel=context_kernel,
            mask=mask,
            flip=flip,
        )

    def _move(
        self, moved: Tensor, parameters: Tensor, cells: Tensor | None, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        shift = parameters if cells is None else parameters * cells
        return (moved - shift if inverse else moved + shift), no_log_det(moved)
