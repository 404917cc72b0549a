"""Conditional flows: an encoder, layers and a target; applied to an image, a distribution p(y | x)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from flowkit.encoders import Encoder
from flowkit.errors import ShapeError
from flowkit.flow.checks import check_tensor, check_values, looks_at
from flowkit.flow.distribution import ConditionalDistribution
from flowkit.flow.recompute import WORTHWHILE, steps_of
from flowkit.layers import CommonFactor, FlowLayer, Shape
from flowkit.layers.features import Features
from flowkit.layers.network import condition_all
from flowkit.targets import ROUNDING, Target


class ConditionalFlow(nn.Module):
    """A bijection f(. ; x) from targets y to Gaussian latents z, for every image x (equation 3 of the paper).

    A call with an image computes all that depends on the image alone, and returns p(y | x):

        p = model(image)                            # (B, C, h, w), values in [0, 1]
        y = p.sample(16, temperature=0.7)           # (16, B, C', H, W)
        loss = -p.log_prob(y).mean()

    Args:
        encoder: from image to features.
        layers: from data to latent; each takes the output of the one before.
        target: maps y to the continuous variable v of the layers, and back.
        recipe: the resolved text from which this flow was built; checkpoints contain it.
        temperatures: of the latents, in the order of `encode`, when samples of whole pages are drawn, in
            units of the samples' temperature; 1 for all by default. Where fine details have 0, they are the
            central ones for the coarser latents, and samples differ by these alone.
        recompute: keep little for the backward pass of training and recompute the rest there, so that memory
            does not grow with depth; the default from 8 steps on. Then p computes conditions when they are
            needed, and its gradients cannot be differentiated again. It has no effect under `torch.compile`,
            which makes this choice itself.

    Attributes:
        in_channels: channels of the image.
        scale: target pixels per image pixel.
        multiple: the image's height and width must be multiples of it.
        grid: a shift of the image by multiples of it shifts the result; tiles begin at multiples of it.
        reach: the largest distance, in image pixels, at which a pixel can change a target pixel, in both
            directions of the flow, unless `whole_image`: then a layer reads features at any distance.
        path_grid: `grid` of the layers alone, from the encoder's features to targets.
        path_reach: `reach` of the layers alone.
        factor: the last layer, if that is a `CommonFactor`: a page that is processed in tiles has it once.
            Neither `reach` nor `whole_image` counts it.

    Raises:
        ShapeError: the encoder does not set `in_channels` and `scale`, or a layer does not take what it gets.
    """

    def __init__(
        self,
        encoder: Encoder,
        layers: Iterable[FlowLayer],
        target: Target,
        *,
        recipe: str | None = None,
        temperatures: Sequence[float] | None = None,
        recompute: bool | None = None,
    ) -> None:
        super().__init__()
        for name in ("in_channels", "scale"):
            if not isinstance(getattr(encoder, name, None), int):
                raise ShapeError(f"encoder {type(encoder).__name__} does not set `{name}`, a whole number")
        self.encoder = encoder
        self.layers = nn.ModuleList(layers)
        self.target = target
        self.recipe = recipe
        self.recompute = len(self.steps()) >= WORTHWHILE if recompute is None else recompute
        self.latents = _latents(list(self.flow_layers()), target.channels)
        self.temperatures = (1.0,) * len(self.latents) if temperatures is None else tuple(temperatures)
        if len(self.temperatures) != len(self.latents):
            raise ShapeError(
                f"temperatures: the flow has {len(self.latents)} latents, got {len(self.temperatures)}"
            )
        self.in_channels = encoder.in_channels
        self.scale = encoder.scale
        coarsest = max(shape.stride for shape in self.latents)
        image_cells = coarsest // math.gcd(coarsest, encoder.scale)
        self.multiple = math.lcm(image_cells, encoder.multiple)
        grids = [math.lcm(layer.grid * layer.shape.stride, encoder.scale) for layer in self.flow_layers()]
        self.path_grid = math.lcm(self.multiple, *(grid // encoder.scale for grid in grids))
        self.grid = math.lcm(self.path_grid, encoder.grid)
        tiled = (layer for layer in self.flow_layers() if layer is not self.factor)
        self.whole_image = any(layer.whole_image for layer in tiled)
        path_reach = sum(layer.reach * layer.shape.stride for layer in self.flow_layers()) + coarsest
        self.path_reach = math.ceil(path_reach / encoder.scale)
        self.reach = encoder.reach + self.path_reach

    @property
    def factor(self) -> CommonFactor | None:
        """Return the last layer, if that is a `CommonFactor`."""
        last = self.layers[-1]
        return last if isinstance(last, CommonFactor) else None

    def forward(
        self, image: Tensor, features: Mapping[int, Features] | None = None
    ) -> ConditionalDistribution:
        """Return p(y | image) for images (B, C, h, w) in [0, 1], of the weights' dtype and device.

        Args:
            image: the images.
            features: `encoder.features(image)`, if it has been computed before.

        Raises:
            TensorError: another type, dtype or device; values out of range or not finite (see `unchecked`).
            ShapeError: other channels, a size that is not a multiple of `multiple`, an empty batch.
        """
        self.check_image(image)
        found = self.encoder.features(image) if features is None else features
        return ConditionalDistribution(self, image, found)

    def check_image(self, image: Tensor) -> None:
        """Refuse an image that `forward` would refuse; raises as it does.

        Raises:
            ShapeError: it has other channels, is empty, or has sides that are no multiples of `multiple`.
        """
        like = next(self.parameters(), None)
        dtype, device = (None, None) if like is None else (like.dtype, like.device)
        check_tensor(image, "the image", dtype, device)
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise ShapeError(f"expected an image (B, {self.in_channels}, H, W), got {tuple(image.shape)}")
        if 0 in image.shape:
            raise ShapeError(f"the image is empty, got {tuple(image.shape)}")
        if image.shape[2] % self.multiple or image.shape[3] % self.multiple:
            raise ShapeError(
                f"the image's height and width must be multiples of {self.multiple}, got {tuple(image.shape)}"
            )
        if looks_at(image):
            admitted = (image >= -ROUNDING) & (image <= 1 + ROUNDING)
            check_values(image, "the image", "values in [0, 1]", admitted)

    def condition(self, features: Mapping[int, Features]) -> list[Any]:
        """Compute every layer's context: all that depends on the features alone."""
        return condition_all(list(self.flow_layers()), features)

    def steps(self) -> list[list[FlowLayer]]:
        """Return the layers, cut into the steps of recomputation."""
        return steps_of(list(self.flow_layers()))

    def latent_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (C, h, w) of every latent for an IMAGE of this size, in the order of `encode`."""
        sizes = (height * self.scale, width * self.scale)
        return [(c, sizes[0] // stride, sizes[1] // stride) for c, stride in self.latents]

    def flow_layers(self) -> Iterable[FlowLayer]:
        """Yield the layers, data -> latent."""
        for layer in self.layers:
            assert isinstance(layer, FlowLayer)
            yield layer


def _latents(layers: list[FlowLayer], channels: int) -> list[Shape]:
    """Return the shapes of all latents; check that each layer takes the output of the one before."""
    latents, shape = [], Shape(channels, 1)
    for i, layer in enumerate(layers):
        if layer.shape != shape:
            raise ShapeError(f"layer {i} ({type(layer).__name__}) takes {layer.shape}, but gets {shape}")
        shape = layer.out_shape
        if layer.latent_channels:
            latents.append(Shape(layer.latent_channels, shape.stride))
    return [*latents, shape]
