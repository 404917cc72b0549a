"""The base class of layers: an invertible map with a log-determinant, conditioned on an image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from nflows.transforms import Transform
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.registry import positional


class Shape(NamedTuple):
    """A number of channels on a grid with one cell for `stride` x `stride` pixels of the target."""

    channels: int
    stride: int


class FlowLayer(Transform):  # type: ignore[misc]  # nflows has no type hints
    """An invertible layer: forward is data -> latent, as in nflows and in the paper.

    To write one, implement `forward` and `inverse`, each returning the result and log|det| of the direction
    that was run, of shape (B,); register it, and recipes can name it:

        @register("affine_injector")
        class AffineInjector(FlowLayer):
            def __init__(self, shape: Shape, context: Shape, *, hidden: int = 64): ...

    Keyword-only parameters are the options of recipes. A layer that reads image features takes a `context`
    shape and splits its work in two: `condition(features)` computes, once per image, all that depends on the
    features alone; `forward` and `inverse` receive its result as `context`. They also take a raw feature map
    (the layer then conditions itself), so that layers work unchanged in nflows' hosts.

    Attributes:
        shape: the shape that `forward` takes.
        out_shape: the shape that the next layer takes; recipes never state channels.
        context: the shape of the features that the layer reads, or None.
        latent_channels: how many channels, the last of `forward`'s output, leave the flow here as a latent.
        reach: the distance, in cells, from which an input (or a feature) can change an output.
        whole_image: whether inputs or features at any distance can, so that there is no `reach`.
        grid: shifting inputs and features by this many cells shifts the outputs, and changes nothing else.
        affine: whether it is one affine map of the channels, the same at every cell and for every image.
        pointwise: whether, for a given image, the layer is an affine map of each value by itself.
        unit: whether the layer takes values in (0, 1) only.
        example_options: options of the instance that `example` makes, and its `channels` and `size`.
        compiles: whether torch.compile takes the layer without a graph break, as all of flowkit's own.
    """

    kind = "layer"
    latent_channels: int = 0
    reach: int = 0
    whole_image: bool = False
    grid: int = 1
    affine: bool = False
    pointwise: bool = False
    unit: bool = False
    example_options: ClassVar[Mapping[str, Any]] = {}
    compiles: bool = True

    def __init__(self, shape: Shape, context: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.out_shape = shape
        self.context = context

    def condition(self, features: Tensor) -> Any:
        """Compute all that depends on the features (B, C, h, w) alone; by default, return the features.

        Return a tuple, or anything but a bare tensor, which `forward` and `inverse` would take for raw
        features and condition again. Tensors in it whose first dimension is 1 (for one image) may be expanded
        there to the number of samples of that image.
        """
        return features

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map data to latent: return outputs (B, C', h', w') and log|det| (B,)."""
        raise NotImplementedError

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map latent to data, by the inverse of `forward`: return it and its own log|det| (B,)."""
        raise NotImplementedError

    @classmethod
    def example(cls, generator: torch.Generator) -> tuple[FlowLayer, Tensor, Tensor | None]:
        """Make a small instance with random weights, inputs, and features (or None): float64, eval mode.

        The tests check every registered layer on its example: that of `make_example` with the class's
        `example_options`, and with inputs in (0, 1) for a layer that takes no others.
        """
        layer, inputs, features = make_example(cls, generator, **cls.example_options)
        return layer, torch.sigmoid(inputs) if cls.unit else inputs, features

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Shapes are checked, and raw features conditioned, here, so that no layer has to do it.
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__:
            cls.forward = _checked(cls.__dict__["forward"], inverse=False)  # type: ignore[method-assign]
        if "inverse" in cls.__dict__:
            cls.inverse = _checked(cls.__dict__["inverse"], inverse=True)  # type: ignore[method-assign]

    def _admit(self, inputs: Tensor, context: Any, *, inverse: bool) -> Any:
        """Check what a direction was given; return the context, conditioned."""
        channels = self.out_shape.channels + self.latent_channels if inverse else self.shape.channels
        if inputs.dim() != 4 or inputs.shape[1] != channels:
            way = "inverse" if inverse else "forward"
            raise ShapeError(
                f"{type(self).__name__}.{way}: expected (B, {channels}, H, W), got {tuple(inputs.shape)}"
            )
        if self.context is None:
            return None
        if context is None:
            raise ShapeError(
                f"{type(self).__name__} needs image features of {self.context.channels} channels"
            )
        if isinstance(context, Tensor):
            if context.dim() != 4 or context.shape[1] != self.context.channels:
                raise ShapeError(
                    f"{type(self).__name__}: expected features (B, {self.context.channels}, H, W), "
                    f"got {tuple(context.shape)}"
                )
            return self.condition(context)
        return context


def make_example(
    cls: Callable[..., FlowLayer],
    generator: torch.Generator,
    *,
    channels: int = 5,
    size: tuple[int, int] = (3, 4),
    **options: Any,
) -> tuple[FlowLayer, Tensor, Tensor | None]:
    """Make the result of `FlowLayer.example`, for a constructor that takes (shape[, context], **options).

    Every parameter is moved off its initial value: many networks start at zero, where a wrong formula is
    still right.
    """
    shapes = [Shape(channels, 2)]
    if "context" in positional(cls):
        shapes.append(Shape(3, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        layer = cls(*shapes, **options).double().eval()

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * random(*parameter.shape))
    features = None if layer.context is None else random(2, layer.context.channels, *size)
    return layer, random(2, channels, *size), features


def no_log_det(inputs: Tensor) -> Tensor:
    """Return the log-det of a layer that moves values without changing them: zeros (B,)."""
    return inputs.new_zeros(inputs.shape[0])


def _in_dtype_of(inputs: Tensor, context: Any) -> Any:
    if isinstance(context, Tensor):
        return context.to(inputs.dtype)
    if type(context) is tuple:
        return tuple(_in_dtype_of(inputs, part) for part in context)
    return context


_Direction = Callable[..., tuple[Tensor, Tensor]]


def _checked(direction: _Direction, *, inverse: bool) -> _Direction:
    @functools.wraps(direction)
    def checked(self: FlowLayer, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        context = self._admit(inputs, context, inverse=inverse)
        # Conditioning goes low under autocast; nothing that sees the latents does. They come back from the
        # inverse with an error of 1e-7, which bfloat16 would round, here and there, to one of 1e-2.
        if not torch.is_autocast_enabled(inputs.device.type):
            return direction(self, inputs, _in_dtype_of(inputs, context))
        with torch.autocast(inputs.device.type, enabled=False):
            return direction(self, inputs, _in_dtype_of(inputs, context))

    return cast(_Direction, checked)
