"""The small network inside injectors and couplings, split so that its image part is computed once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError


class ConditionalNetwork(nn.Module):
    """(latent part z1, features u) -> the parameters of an elementwise map, such as [shift | raw scale].

        h = relu(A u + B z1),   h = relu(M h),   parameters = O h

    A, B, O are k x k convolutions, M is 1x1. Since A [z1, u] = B z1 + A u, the costly part A u reads only the
    image: `condition` computes it once for all samples, directions and temperatures. O starts at zero, so
    that an untrained layer is what its map is at parameters 0.

    Args:
        latent: channels of z1; 0 where the map reads the image only.
        context: channels of u.
        out: channels of the parameters, all together.
        hidden: channels of h.
        kernel: k of B and O.
        context_kernel: k of A.
    """

    def __init__(
        self, latent: int, context: int, out: int, *, hidden: int, kernel: int, context_kernel: int
    ) -> None:
        super().__init__()
        for name, value in (("kernel", kernel), ("context_kernel", context_kernel)):
            if value < 1 or value % 2 == 0:
                raise ShapeError(f"{name} must be odd and positive, got {value}")
        if hidden < 1:
            raise ShapeError(f"hidden must be positive, got {hidden}")
        self.on_context = nn.Conv2d(context, hidden, context_kernel, padding=context_kernel // 2)
        self.on_latent = (
            nn.Conv2d(latent, hidden, kernel, padding=kernel // 2, bias=False) if latent else None
        )
        self.mix = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, out, kernel, padding=kernel // 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(_bias(self.out))
        self.reach = kernel // 2 + max(context_kernel // 2, kernel // 2 if latent else 0)

    def condition(self, features: Tensor) -> Tensor:
        """A u (B, hidden, h, w)."""
        return _convolve(self.on_context, features)

    def forward(self, conditioned: Tensor, latent: Tensor | None = None) -> Tensor:
        """(A u, z1) -> parameters (B, out, h, w)."""
        if self.on_latent is not None and latent is not None:
            conditioned = conditioned + _convolve(self.on_latent, latent)
        hidden = torch.relu(self.mix(torch.relu(conditioned)))
        return _convolve(self.out, hidden)


def _convolve(convolution: nn.Conv2d, inputs: Tensor) -> Tensor:
    result: Tensor = convolution(inputs)
    return result


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
