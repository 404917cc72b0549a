"""The distribution p(y | x) of a batch of images: samples, densities, latents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from flowkit.errors import ShapeError, TensorError
from flowkit.flow.checks import check_tensor, check_values, looks_at
from flowkit.flow.latents import (
    Temperature,
    check_generators,
    check_noise,
    check_sample_shape,
    check_temperatures,
    draw_latents,
)
from flowkit.flow.passes import at_once, from_latents, to_latents
from flowkit.flow.recompute import to_latents_recomputing
from flowkit.layers import FlowLayer
from flowkit.layers.features import Features
from flowkit.targets import Generators, Noise, Target


class Flow(Protocol):
    """The part of a `ConditionalFlow` that its distributions use."""

    target: Target
    scale: int
    recompute: bool
    training: bool

    def flow_layers(self) -> Iterable[FlowLayer]: ...  # noqa: D102
    def steps(self) -> list[list[FlowLayer]]: ...  # noqa: D102
    def condition(self, features: Mapping[int, Features]) -> list[Any]: ...  # noqa: D102
    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]: ...  # noqa: D102


class ConditionalDistribution:
    """p(y | x) for a batch of images x; all that depends on x alone has been computed.

    A call of a `ConditionalFlow` makes it. Sampling, scoring and coding share the conditions: a further
    sample costs only the pass of the latents.

    Attributes:
        flow: the `ConditionalFlow` whose distribution it is.
        images: their number, B.
        latent_shapes: (C, h, w) of every latent, in the order of `encode`.
        target_shape: (C, H, W).
    """

    def __init__(self, flow: Flow, image: Tensor, features: Mapping[int, Features]) -> None:
        self.flow = flow
        self.images = image.shape[0]
        self._image = image
        self._features = features
        self._conditions: dict[bool, list[Any]] = {}
        if not self._recomputes():
            self._conditions[torch.is_grad_enabled()] = flow.condition(features)
        height, width = image.shape[2:]
        self.latent_shapes = flow.latent_shapes(height, width)
        self.target_shape = (flow.target.channels, height * flow.scale, width * flow.scale)

    def sample(
        self, n: int | Sequence[int] = 1, *, temperature: Temperature = 1.0, generator: Generators = None
    ) -> Tensor:
        """Draw z ~ N(0, temperature^2) and decode it: y of shape (n, B, C, H, W), without gradients.

        Temperature 0 gives the image of z = 0. With a generator the result is reproducible, and the first of
        n samples are those of a smaller n. With one generator for each image, an image's samples do not
        depend on its batch.

        Args:
            n: number of samples of each image, or a `torch.Size`, which replaces n in the shape.
            temperature: a number; a tensor (B,) with one for each image; or a list with one for each latent,
                in the order of `latent_shapes`.
            generator: one, or a list of one for each image.

        Raises:
            ValueError: n below 1; a temperature that is negative, infinite or NaN; another number of
                temperatures or generators.
            ShapeError: a tensor of temperatures that has not one for each image.
        """
        shape = check_sample_shape(n)
        with torch.no_grad():
            parts = [
                self.flow.target.restore(v) for v, _, _ in self._drawn(shape.numel(), temperature, generator)
            ]
            return torch.cat(parts).view(*shape, self.images, *self.target_shape)

    def rsample(
        self, n: int | Sequence[int] = 1, *, temperature: Temperature = 1.0, generator: Generators = None
    ) -> Tensor:
        """Draw as `sample`, with gradients by the image and by the weights: v of shape (n, B, C, H, W).

        For targets of real values, v is y. For discretised targets, v is the value before rounding, whose
        gradients are not 0: for a binary target its sign is the pixel, for 8-bit levels it is (level + u) /
            256 with u
        in [0, 1). `model.target.restore(v)` is the result of `sample`. Arguments and errors are those
        of `sample`.
        """
        shape = check_sample_shape(n)
        parts = [v for v, _, _ in self._drawn(shape.numel(), temperature, generator)]
        return torch.cat(parts).view(*shape, self.images, *self.target_shape)

    def sample_and_log_prob(
        self, n: int | Sequence[int] = 1, *, temperature: Temperature = 1.0, generator: Generators = None
    ) -> tuple[Tensor, Tensor]:
        """Draw as `rsample`, and give log p(v | x) of what was drawn: (n, B, C, H, W) and (n, B), in nats.

        In one pass, with gradients; exact, by the change of variables: log N(z; 0, I) - log|det dv/dz|. The
        density is the model's own, of temperature 1, whatever temperature z was drawn at. For targets
        without noise it is that of `log_prob`; for dequantised ones it is of v, not of the y that v belongs
        to, which `log_prob` bounds. Arguments and errors are those of `sample`.
        """
        shape = check_sample_shape(n)
        values, log_probs = [], []
        for v, latents, log_dets in self._drawn(shape.numel(), temperature, generator):
            values.append(v)
            zero = v.new_zeros(v.shape[0], dtype=torch.promote_types(v.dtype, torch.float32))
            log_probs.append(sum((_standard_normal(z) for z in latents), zero) - sum(log_dets, zero))
        v = torch.cat(values).view(*shape, self.images, *self.target_shape)
        return v, torch.cat(log_probs).view(*shape, self.images)

    def log_prob(self, y: Tensor, *, generator: Noise = None) -> Tensor:
        """Return log p(y | x), (B,), in nats, by the change of variables; the target draws its noise.

        log p(y | x) = log N(f(v; x); 0, I) + log|det df/dv| - log q(v | y); see `Target.nll_of` for what the
        figure means.

        Args:
            y: (B, C, H, W), or several targets of each image: (n, B, C, H, W) gives (n, B), and so on.
            generator: of the noise: one, a list of one for each image, or the noise itself, of y's shape.

        Raises:
            TensorError: y is not a tensor of the image's dtype (or boolean) on its device, or no target has
                such values (grey in a binary one, out of range, not finite; see `unchecked`).
            ShapeError: another shape.
            ValueError: another number of generators.
        """
        y = self._checked(y, several=True)
        check_noise(generator, y)
        if y.dim() == 4:
            return self._log_prob(y, generator)
        each = y.flatten(0, -5)
        noise = generator.flatten(0, -5) if isinstance(generator, Tensor) else [generator] * len(each)
        found = [self._log_prob(one, of_one) for one, of_one in zip(each, noise, strict=True)]
        return torch.stack(found).view(y.shape[:-3])

    def bits_per_dim(self, y: Tensor, *, generator: Noise = None) -> Tensor:
        """Return -log2 p(y | x) / (C H W), (B,); arguments and errors are those of `log_prob`."""
        return -self.log_prob(y, generator=generator) / (math.log(2) * math.prod(self.target_shape))

    def encode(self, y: Tensor) -> list[Tensor]:
        """Return the latents of y, without noise: one (B, C, h, w) per split, in order, and the last.

        Raises:
            TensorError, ShapeError: as `log_prob`.
        """
        y = self._checked(y)
        return self._to_latents(self.flow.target.embed(y))[0]

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """Return the y of given latents, (B, C, H, W); `decode(encode(y))` is y.

        It has gradients if targets are of real values; the steps of a discretised one have none.

        Raises:
            TensorError: not a list of tensors like those of `encode`, or a value is not finite.
            ShapeError: another number of latents, or other shapes.
        """
        self._check_latents(latents)
        return self.flow.target.restore(self._from_latents(latents)[0])

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

    def _from_latents(self, latents: Sequence[Tensor], samples: int = 1) -> tuple[Tensor, list[Tensor]]:
        return from_latents(list(self.flow.flow_layers()), self._contexts, latents, samples)

    def _log_prob(self, y: Tensor, noise: Noise) -> Tensor:
        v, log_q = self.flow.target.dequantise(y, noise)
        latents, log_det = self._to_latents(v)
        return sum((_standard_normal(z) for z in latents), log_det) - log_q

    def _drawn(
        self, count: int, temperature: Temperature, generator: Generators
    ) -> Iterator[tuple[Tensor, list[Tensor], list[Tensor]]]:
        """Yield v, latents and the layers' log|det| of so many samples, a few samples at a time."""
        image, images = self._image, self.images
        temperatures = check_temperatures(temperature, len(self.latent_shapes), image)
        check_generators(generator, images)
        most = at_once(*self.target_shape[1:], image.device) if images == 1 else 1
        for start in range(0, count, most):
            drawn = [
                draw_latents(self.latent_shapes, image, temperatures, generator)
                for _ in range(start, min(start + most, count))
            ]
            latents = [torch.cat(zs) for zs in zip(*drawn, strict=True)]
            v, log_dets = self._from_latents(latents, len(drawn))
            yield v, latents, log_dets

    def _checked(self, y: Tensor, *, several: bool = False) -> Tensor:
        image, target = self._image, self.flow.target
        check_tensor(y, "the target", image.dtype, image.device, boolean=True)
        shape = (image.shape[0], *self.target_shape)
        if tuple(y.shape[-4:] if several else y.shape) != shape or 0 in y.shape:
            several_of = " or (n, B, C, H, W)" if several and y.dim() > 4 else ""
            raise ShapeError(f"expected a target {shape}{several_of}, got {tuple(y.shape)}")
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
