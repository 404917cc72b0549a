"""The conditional flow, and the distribution p(y | x) that it becomes when it is applied to an image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowkit.encoders import Encoder
from flowkit.errors import ShapeError
from flowkit.flow.passes import at_once, from_latents, to_latents
from flowkit.flow.recompute import WORTHWHILE, steps_of, to_latents_recomputing
from flowkit.layers import FlowLayer, Shape
from flowkit.layers.features import Features
from flowkit.layers.network import condition_all
from flowkit.targets import Noise, Target


class ConditionalFlow(nn.Module):
    """A bijection f(. ; x) from targets y to Gaussian latents z, for every image x (equation 3 of the paper).

    Calling it with an image computes all that depends on the image alone, and returns p(y | x):

        p = model(image)                            # (B, C, h, w), values in [0, 1]
        y = p.sample(16, temperature=0.7)           # (16, B, C', H, W)
        loss = -p.log_prob(y).mean()

    Args:
        encoder: image -> features.
        layers: data -> latent, in order; each takes what the one before puts out.
        target: y <-> the continuous variable v that the layers map.
        recipe: the resolved text that this flow was built from; checkpoints carry it.
        recompute: whether training keeps little for the backward pass and computes the rest again there, so
            that its memory does not grow with depth; by default, if the flow has 8 steps or more. Then p
            computes conditions when they are needed, and its gradients cannot be differentiated again.
            Under `torch.compile`, which weighs keeping against recomputing itself, it changes nothing.

    Attributes:
        in_channels: channels of the image.
        scale: target pixels per image pixel.
        multiple: the image's height and width must be multiples of it.
        grid: images shifted by multiples of it are treated alike; where tiles may start.
        reach: image pixels further away than this cannot change a target pixel, in any direction of the flow,
            unless `whole_image`: then some layer reads features at any distance.
        path_grid: `grid` and
        path_reach: `reach` of the layers alone, from features (which the encoder has made) to targets.
    """

    def __init__(
        self,
        encoder: Encoder,
        layers: Iterable[FlowLayer],
        target: Target,
        *,
        recipe: str | None = None,
        recompute: bool | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = nn.ModuleList(layers)
        self.target = target
        self.recipe = recipe
        self.recompute = len(self.steps()) >= WORTHWHILE if recompute is None else recompute
        self.latents = _latents(list(self._flow_layers()), target.channels)
        self.in_channels = encoder.in_channels
        self.scale = encoder.scale
        coarsest = max(shape.stride for shape in self.latents)
        image_cells = coarsest // math.gcd(coarsest, encoder.scale)
        self.multiple = math.lcm(image_cells, encoder.multiple)
        grids = [math.lcm(layer.grid * layer.shape.stride, encoder.scale) for layer in self._flow_layers()]
        self.path_grid = math.lcm(self.multiple, *(grid // encoder.scale for grid in grids))
        self.grid = math.lcm(self.path_grid, encoder.grid)
        self.whole_image = any(layer.whole_image for layer in self._flow_layers())
        path_reach = sum(layer.reach * layer.shape.stride for layer in self._flow_layers()) + coarsest
        self.path_reach = math.ceil(path_reach / encoder.scale)
        self.reach = encoder.reach + self.path_reach

    def forward(self, image: Tensor) -> ConditionalDistribution:
        """p(y | image)."""
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ShapeError(f"expected an image (B, {self.in_channels}, H, W), got {tuple(image.shape)}")
        if 0 in image.shape or image.shape[2] % self.multiple or image.shape[3] % self.multiple:
            raise ShapeError(
                f"the image's height and width must be multiples of {self.multiple}, got {tuple(image.shape)}"
            )
        return ConditionalDistribution(self, image, self.encoder.features(image))

    def condition(self, features: Mapping[int, Features]) -> list[Any]:
        """Every layer's context: all that it makes of the features alone."""
        return condition_all(list(self._flow_layers()), features)

    def steps(self) -> list[list[FlowLayer]]:
        """The layers, cut where recomputation may cut them."""
        return steps_of(list(self._flow_layers()))

    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(C, h, w) of every latent for an IMAGE of this size, in the order of `encode` and `decode`."""
        sizes = (height * self.scale, width * self.scale)
        return [(c, sizes[0] // stride, sizes[1] // stride) for c, stride in self.latents]

    def _flow_layers(self) -> Iterable[FlowLayer]:
        for layer in self.layers:
            assert isinstance(layer, FlowLayer)
            yield layer


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
        """
        y = self._checked(y)
        v, log_q = self.flow.target.dequantise(y, generator)
        latents, log_det = self._to_latents(v)
        return sum((_standard_normal(z) for z in latents), log_det) - log_q

    def bits_per_dim(self, y: Tensor, *, generator: Noise = None) -> Tensor:
        """-log2 p(y | x) / (C H W), (B,)."""
        return -self.log_prob(y, generator=generator) / (math.log(2) * math.prod(self.target_shape))

    def encode(self, y: Tensor) -> list[Tensor]:
        """The latents of y, no noise added: one (B, C, h, w) per split, in order, and the last."""
        y = self._checked(y)
        return self._to_latents(self.flow.target.embed(y))[0]

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """The y of given latents, (B, C, H, W); `decode(encode(y))` is y."""
        expected = [(self._image.shape[0], *shape) for shape in self.latent_shapes]
        if [tuple(z.shape) for z in latents] != expected:
            raise ShapeError(f"expected latents {expected}, got {[tuple(z.shape) for z in latents]}")
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
            v, log_det, *left = to_latents(self.flow._flow_layers(), self._contexts, v)
        return [*left, v], log_det

    def _from_latents(self, latents: Sequence[Tensor], samples: int = 1) -> Tensor:
        return from_latents(list(self.flow._flow_layers()), self._contexts, latents, samples)

    def _checked(self, y: Tensor) -> Tensor:
        expected = (self._image.shape[0], *self.target_shape)
        if tuple(y.shape) != expected:
            raise ShapeError(f"expected a target {expected}, got {tuple(y.shape)}")
        return y.to(self._image.dtype)  # a mask may come as booleans


def draw_latents(
    shapes: Sequence[tuple[int, int, int]],
    image: Tensor,
    temperature: float,
    generator: torch.Generator | None,
) -> list[Tensor]:
    """z ~ N(0, temperature^2), (B, C, h, w) for each shape: one sample of every image of a batch."""
    device = generator.device if generator is not None else image.device
    return [
        temperature
        * torch.randn((image.shape[0], *shape), generator=generator, dtype=image.dtype, device=device).to(
            image.device
        )
        for shape in shapes
    ]


def check_drawing(n: int, temperature: float) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: no samples, or a temperature below 0.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be 0 or more, got {temperature}")


def _latents(layers: list[FlowLayer], channels: int) -> list[Shape]:
    """The shapes of all latents; checks on the way that each layer takes what the one before puts out."""
    latents, shape = [], Shape(channels, 1)
    for i, layer in enumerate(layers):
        if layer.shape != shape:
            raise ShapeError(f"layer {i} ({type(layer).__name__}) takes {layer.shape}, but gets {shape}")
        shape = layer.out_shape
        if layer.latent_channels:
            latents.append(Shape(layer.latent_channels, shape.stride))
    return [*latents, shape]


def _standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)
