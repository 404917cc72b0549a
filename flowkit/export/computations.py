"""Functions of a flow that can be exported: of tensors alone, without random numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from flowkit.flow import ConditionalFlow
from flowkit.flow.folding import folded

What = Literal["mode", "sample", "log_prob"]
WHATS: tuple[What, ...] = get_args(What)


class Computation(nn.Module):
    """A function of an image and maybe further tensors.

    Attributes:
        flow: the model, in eval mode; affine layers are folded, so that matrices are inverted now.
        names: of its inputs.
        output: its name.
    """

    names: tuple[str, ...] = ("image",)
    output = "y"

    def __init__(self, model: ConditionalFlow) -> None:
        super().__init__()
        self.flow = portable(model)

    def examples(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Draw inputs for images of this size."""
        like = next(self.flow.parameters())
        return (torch.rand(batch, self.flow.in_channels, height, width).to(like),)


class Mode(Computation):
    """y = f^-1(0; x): `sample(1, temperature=0)[0]`."""

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, C, h, w) to y (B, C', H, W)."""
        p = self.flow(image)
        zeros: Tensor = p.decode([image.new_zeros(image.shape[0], *shape) for shape in p.latent_shapes])
        return zeros


class Sample(Computation):
    """y = f^-1(z; x) for given latents: standard normal numbers times a temperature make it a sample."""

    def __init__(self, model: ConditionalFlow) -> None:
        super().__init__(model)
        self.names = ("image", *(f"z{number}" for number in range(len(model.latents))))

    def forward(self, image: Tensor, *latents: Tensor) -> Tensor:
        """Map images and their latents to y (B, C', H, W)."""
        y: Tensor = self.flow(image).decode(list(latents))
        return y

    def examples(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Draw an image and latents."""
        (image,) = super().examples(batch, height, width)
        sizes = self.flow.latent_shapes(height, width)
        return image, *(torch.randn(batch, *size).to(image) for size in sizes)


class LogProb(Computation):
    """log p(y | x), in nats; of targets with dequantisation noise by the noise that is given."""

    output = "log_prob"

    def __init__(self, model: ConditionalFlow) -> None:
        super().__init__(model)
        probe = torch.zeros(1, self.flow.target.channels, 1, 1)
        # a target that takes no noise does not see that it is no number
        found, _ = self.flow.target.dequantise(probe, probe + torch.nan)
        self.noisy = bool(found.isnan().any())
        self.names = ("image", "y", "noise") if self.noisy else ("image", "y")

    def forward(self, image: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map images, targets (B, C', H, W) and noise of y's shape to log p (B,)."""
        log_prob: Tensor = self.flow(image).log_prob(y, generator=noise)
        return log_prob

    def examples(self, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Draw an image, and a target and noise that are unrelated to it."""
        (image,) = super().examples(batch, height, width)
        scale = self.flow.scale
        y = torch.rand(batch, self.flow.target.channels, scale * height, scale * width).to(image)
        return (image, y.round(), torch.rand_like(y)) if self.noisy else (image, y.round())


COMPUTATIONS: dict[What, Callable[[ConditionalFlow], Computation]] = {
    "mode": Mode,
    "sample": Sample,
    "log_prob": LogProb,
}


def portable(model: ConditionalFlow) -> ConditionalFlow:
    """Copy a model for export: on the CPU, in eval mode, with affine layers folded, and without gradients."""
    flow = copy.deepcopy(model).cpu().eval()
    flow.recompute = False
    dtype = next(flow.parameters()).dtype
    flow.layers = nn.ModuleList(folded(flow.flow_layers(), least=1))
    return flow.to(dtype).requires_grad_(False)
