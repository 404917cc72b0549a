"""Latents of a flow: standard normal numbers times a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.flow.checks import looks_at
from flowkit.targets import Generators, Noise, draw

Temperature = float | Tensor | Sequence[float | Tensor]
"""A number; a tensor (B,), one for each image; or a list of either, one for each latent as in `encode`."""

SHOWN = 60  # characters of an argument in a message


def check_sample_shape(n: int | Sequence[int]) -> torch.Size:
    """Return the shape of so many samples: (n,), or the sizes of a `torch.Size`, tuple or list.

    Raises:
        ValueError: a size that is no whole number of 1 or more.

    >>> check_sample_shape(3), check_sample_shape((2, 4)), check_sample_shape(torch.Size())
    (torch.Size([3]), torch.Size([2, 4]), torch.Size([]))
    """
    sizes = [n] if isinstance(n, int) else list(n) if isinstance(n, tuple | list) else None
    if sizes is None or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"n must be 1 or more, or a torch.Size of such numbers, got {_short(n)}")
    return torch.Size(sizes)


def check_temperatures(temperature: Temperature, levels: int, image: Tensor) -> list[float | Tensor]:
    """Return the temperature of every latent: a number, or a tensor (B, 1, 1, 1) like `image`.

    Raises:
        ValueError: a temperature that is negative, infinite or NaN, or another number of them.
        ShapeError: a tensor that has not one temperature for each image.
    """
    if not isinstance(temperature, Sequence):
        return [_temperature(temperature, image)] * levels
    if len(temperature) != levels:
        raise ValueError(
            f"temperature: a list has one for each of the {levels} latents, got {len(temperature)}; "
            "a tensor (B,) has one for each image"
        )
    return [_temperature(of_level, image) for of_level in temperature]


def check_generators(generator: object, images: int) -> None:
    """Refuse generators from which no numbers can be drawn for so many images.

    Raises:
        ValueError: neither None, nor a generator, nor a list of one for each image.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return
    each = generator if isinstance(generator, list | tuple) else [generator]
    if len(each) != images or not all(isinstance(one, torch.Generator) for one in each):
        found = f"a {type(generator).__name__}"
        if isinstance(generator, list | tuple):
            found += f" of {len(generator)}: {_short([type(one).__name__ for one in generator])}"
        raise ValueError(
            f"generator: expected a torch.Generator, or a list of {images}, one for each image, got {found}"
        )


def check_noise(noise: Noise, y: Tensor) -> None:
    """Refuse noise that does not fit targets (..., B, C, H, W).

    Raises:
        ValueError: as `check_generators`.
        ShapeError: noise of another shape.
    """
    if not isinstance(noise, Tensor):
        check_generators(noise, y.shape[-4])
    elif noise.shape != y.shape:
        raise ShapeError(f"expected noise {tuple(y.shape)}, got {tuple(noise.shape)}")


def draw_latents(
    shapes: Sequence[tuple[int, int, int]],
    image: Tensor,
    temperatures: Sequence[float | Tensor],
    generator: Generators,
) -> list[Tensor]:
    """Draw z ~ N(0, temperature^2), (B, C, h, w) for each shape: one sample of every image of a batch.

    At the number 0 nothing is drawn.
    """
    images = image.shape[0]
    return [
        image.new_zeros(images, *shape)
        if isinstance(temperature, float) and temperature == 0
        else temperature * draw(torch.randn, (images, *shape), image, generator)
        for shape, temperature in zip(shapes, temperatures, strict=True)
    ]


def _temperature(temperature: float | Tensor, image: Tensor) -> float | Tensor:
    if isinstance(temperature, Tensor):
        if tuple(temperature.shape) not in ((), (1,), (image.shape[0],)):
            raise ShapeError(
                f"temperature: expected a number or a tensor ({image.shape[0]},), one for each image, "
                f"got {tuple(temperature.shape)}"
            )
        values = temperature.reshape(-1, 1, 1, 1).to(image)
        if looks_at(values):
            lowest, highest = (float(end) for end in values.detach().aminmax())
            _check_number(lowest if not lowest >= 0 else highest)
        return values
    if isinstance(temperature, bool) or not isinstance(temperature, Real):
        raise ValueError(f"temperature must be a number, a tensor or a list, got {_short(temperature)}")
    _check_number(float(temperature))
    return float(temperature)


def _check_number(temperature: float) -> None:
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 or more and finite, got {temperature:g}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
