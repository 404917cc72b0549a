"""The distribution p(y | x) of a batch of images: samples, densities, latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowkit.errors import ShapeError, TensorError
from flowkit.flow.checks import check_shape, check_tensor, check_values, looks_at
from flowkit.flow.latents import check_drawing, draw_latents
from flowkit.flow.passes import at_once, from_latents, to_latents
from flowkit.flow.recompute import to_latents_recomputing
from flowkit.layers.features import Features
from flowkit.targets import Noise

if TYPE_CHECKING:
    from flowkit.flow.model import ConditionalFlow


class ConditionalDistribution:
    """p(y | x) for a batch of images x, all that reads x alone being computed already.

    Made by calling a `ConditionalFlow`. Sampling, scoring and coding share the conditions: a further sample
    costs the latents' path only.
    """

    def __init__(self, flow: ConditionalFlow, image: Tensor, features: Mapping[int, Features]) -> None:
        self.flow = flow
        self._image = image
        self._features = features
        self._conditions: dict[bool, list[Any]] = {}
        if not self._recomputes():
            self._conditions[torch.is_grad_enabled()] = flow.condition(features)
        height, width = image.shape[2:]
        self.latent_shapes = flow.latent_shapes(height, width)
        self.target_shape = (flow.target.channels, height * flow.scale, width * flow.scale)

    def sample(
        self, n: int = 1, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw z ~ N(0, temperature^2) and decode it: y of shape (n, B, C, H, W).

        Temperature 0 gives the image of z = 0. With a generator the result is reproducible, and the first of
        n samples are what fewer would have been.

        Raises:
            ValueError: n below 1, or a temperature that is negative, infinite or NaN.
        """
        check_drawing(n, temperature)
        images, device = self._image.shape[0], self._image.device
        most = at_once(*self.target_shape[1:], device) if images == 1 else 1
        parts = []
        for start in range(0, n, most):
            drawn = [
                draw_latents(self.latent_shapes, self._image, temperature, generator)
                for _ in range(start, min(start + most, n))
            ]
            latents = [torch.cat(zs) for zs in zip(*drawn, strict=True)]
            v = self._from_latents(latents, len(drawn))
            parts.append(self.flow.target.restore(v).view(len(drawn), images, *self.target_shape))
        return torch.cat(parts)

    def log_prob(self, y: Tensor, *, generator: Noise = None) -> Tensor:
        """log p(y | x), (B,), in nats, by the change of variables; the target draws its dequantisation noise.

        log p(y | x) = log N(f(v; x); 0, I) + log|det df/dv| - log q(v | y); see `Target.nll_of` for what the
        figure means.

        Raises:
            TensorError: y is not a tensor of the image's dtype (or boolean) on its device, or no target has
                such values (grey in a binary one, out of range, not finite; see `unchecked`).
            ShapeError: another shape than (B, C, H, W).
        """
        y = self._checked(y)
        v, log_q = self.flow.target.dequantise(y, generator)
        latents, log_det = self._to_latents(v)
        return sum((_standard_normal(z) for z in latents), log_det) - log_q

    def bits_per_dim(self, y: Tensor, *, generator: Noise = None) -> Tensor:
        """-log2 p(y | x) / (C H W), (B,); raises as `log_prob`."""
        return -self.log_prob(y, generator=generator) / (math.log(2) * math.prod(self.target_shape))

    def encode(self, y: Tensor) -> list[Tensor]:
        """The latents of y, no noise added: one (B, C, h, w) per split, in order, and the last.

        Raises:
            TensorError, ShapeError: as `log_prob`.
        """
        y = self._checked(y)
        return self._to_latents(self.flow.target.embed(y))[0]

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """The y of given latents, (B, C, H, W); `decode(encode(y))` is y.

        Raises:
            TensorError: not a list of tensors like those of `encode`, or a value is not finite.
            ShapeError: another number of latents, or other shapes.
        """
        self._check_latents(latents)
        return self.flow.target.restore(self._from_latents(latents))

    def _recomputes(self) -> bool:
        flow, compiling = self.flow, torch.compiler.is_compiling()
        return flow.recompute and flow.training and torch.is_grad_enabled() and not compiling

    @property
    def _contexts(self) -> list[Any]:
        # Conditions made without gradients must not serve where gradients are wanted.
        differentiable = torch.is_grad_enabled()
        made = self._conditions.get(True, self._conditions.get(differentiable))
        if made is None:
            made = self._conditions[differentiable] = self.flow.condition(self._features)
        return made

    def _to_latents(self, v: Tensor) -> tuple[list[Tensor], Tensor]:
        if self._recomputes():
            v, log_det, *left = to_latents_recomputing(self.flow.steps(), self._features, v)
        else:
            v, log_det, *left = to_latents(self.flow.flow_layers(), self._contexts, v)
        return [*left, v], log_det

    def _from_latents(self, latents: Sequence[Tensor], samples: int = 1) -> Tensor:
        return from_latents(list(self.flow.flow_layers()), self._contexts, latents, samples)

    def _checked(self, y: Tensor) -> Tensor:
        image, target = self._image, self.flow.target
        check_tensor(y, "the target", image.dtype, image.device, boolean=True)
        check_shape(y, "a target", (image.shape[0], *self.target_shape))
        if looks_at(y):
            check_values(y, "the target", target.values, target.admits(y))
        return y.to(image.dtype)  # a mask may come as booleans

    def _check_latents(self, latents: Sequence[Tensor]) -> None:
        if not isinstance(latents, list | tuple):
            found = type(latents).__name__
            raise TensorError(f"expected a list of latents, as `encode` returns, got a {found}")
        image = self._image
        for number, z in enumerate(latents):
            check_tensor(z, f"latent {number}", image.dtype, image.device)
        expected = [(image.shape[0], *shape) for shape in self.latent_shapes]
        if [tuple(z.shape) for z in latents] != expected:
            raise ShapeError(f"expected latents {expected}, got {[tuple(z.shape) for z in latents]}")
        for number, z in enumerate(latents):
            if looks_at(z):
                check_values(z, f"latent {number}", "finite values", z.isfinite())


def _standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)
