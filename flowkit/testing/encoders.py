"""`check_encoder`: a check of an encoder against its contract.

check_encoder(Strided(width=4), strides=[2, 4])
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from flowkit.encoders import Encoder
from flowkit.errors import ShapeError
from flowkit.layers import Shape
from flowkit.layers.features import dense
from flowkit.testing.demand import demand

FAR = 512  # pixels: encoders that reach further are not checked for it, which would take gigabytes


def check_encoder(encoder: Encoder, strides: Sequence[int]) -> None:
    """Check, in float64 and eval mode:

    - `in_channels`, `scale`, `multiple`, `grid` and `reach` are numbers;
    - `provide` returns the shapes of the strides, and refuses stride 0 by a ShapeError;
    - `forward` returns these shapes, for all promised strides and no others, and leaves the image as it is;
      `features` returns the same, partly coarse or not;
    - the images of a batch do not see one another;
    - no feature sees a pixel further away than `reach`;
    - a shift of the image by `grid` shifts the features, and changes nothing else;
    - a deepcopy computes the same; parameters and buffers are contiguous, as safetensors wants them;
    - `stream`, if there is one, gives the features of `forward`, row by row.

    Args:
        encoder: small, with random weights (many networks start at zero), and new: nothing provided yet.
        strides: to promise, in pixels of the target for a cell.

    Raises:
        AssertionError: naming the encoder and what is not so.
    """
    shapes = _promised(encoder, strides)
    encoder = encoder.double().eval()
    unit = math.lcm(encoder.multiple, encoder.grid)
    image = torch.rand(2, encoder.in_channels, 3 * unit, 5 * unit, dtype=torch.float64)
    with torch.no_grad():
        found = _checked_shapes(encoder, image, shapes)
        alone, again = encoder(image[1:]), copy.deepcopy(encoder)(image)
        for stride, u in found.items():
            demand(
                _close(alone[stride], u[1:]), encoder, f"stride {stride}: images of a batch see one another"
            )
            demand(_close(again[stride], u), encoder, f"stride {stride}: a deepcopy computes something else")
        _check_grid(encoder, unit)
        _check_stream(encoder, image, found)
    if encoder.reach <= FAR:
        _check_reach(encoder, unit)
    for name, tensor in encoder.state_dict().items():
        demand(tensor.is_contiguous(), encoder, f'"{name}" is not contiguous; .contiguous() copies it')


def _promised(encoder: Encoder, strides: Sequence[int]) -> dict[int, Shape]:
    """Let the encoder promise features, and return their shapes."""
    shapes = {}
    for stride in strides:
        shape = encoder.provide(stride)
        good = isinstance(shape, Shape) and shape.stride == stride
        demand(good, encoder, f"provide({stride}) returned {shape!r}, expected Shape(channels, {stride})")
        shapes[stride] = shape
    for name, least in (("in_channels", 1), ("scale", 1), ("multiple", 1), ("grid", 1), ("reach", 0)):
        value = getattr(encoder, name, None)
        good = isinstance(value, int) and value >= least
        demand(good, encoder, f"{name} is {value!r}, expected a whole number of {least} or more")
    try:
        encoder.provide(0)
    except ShapeError:
        return shapes
    raise AssertionError(f"{type(encoder).__name__}: provide(0) returned, expected a ShapeError")


def _checked_shapes(encoder: Encoder, image: Tensor, shapes: Mapping[int, Shape]) -> dict[int, Tensor]:
    before = image.clone()
    found: dict[int, Tensor] = encoder(image)
    demand(torch.equal(image, before), encoder, "changes the image in place")
    demand(set(found) == set(shapes), encoder, f"gave strides {sorted(found)}, promised {sorted(shapes)}")
    partly = encoder.features(image)
    for stride, shape in shapes.items():
        size = tuple(side * encoder.scale // stride for side in image.shape[2:])
        expected = (len(image), shape.channels, *size)
        u = found[stride]
        demand(
            tuple(u.shape) == expected,
            encoder,
            f"stride {stride}: gave {tuple(u.shape)}, promised {expected}",
        )
        demand(u.dtype == image.dtype, encoder, f"stride {stride}: {image.dtype} became {u.dtype}")
        same = _close(dense(partly[stride]), u)
        demand(same, encoder, f"stride {stride}: `features` and `forward` differ")
    return found


def _check_reach(encoder: Encoder, unit: int) -> None:
    side = -(-(2 * encoder.reach + 4 * unit) // unit) * unit
    image = torch.rand(1, encoder.in_channels, side, side, dtype=torch.float64, requires_grad=True)
    for stride, u in encoder(image).items():
        if not u.requires_grad:
            continue  # a constant sees nothing
        middle = u.shape[2] // 2
        (gradient,) = torch.autograd.grad(u[0, :, middle, middle].abs().sum(), image, retain_graph=True)
        first = middle * stride // encoder.scale
        last = first + max(1, stride // encoder.scale) - 1
        for axis, name in ((2, "rows"), (3, "columns")):
            seen = gradient.abs().sum([d for d in range(4) if d != axis]).nonzero().flatten()
            if len(seen):
                far = max(first - int(seen.min()), int(seen.max()) - last)
                demand(
                    far <= encoder.reach,
                    encoder,
                    f"stride {stride}: a feature sees {name} {far} pixels away, and reach is {encoder.reach}",
                )


def _check_grid(encoder: Encoder, unit: int) -> None:
    margin = -(-encoder.reach // unit) * unit
    image = torch.rand(1, encoder.in_channels, 2 * margin + 3 * unit, 3 * unit, dtype=torch.float64)
    whole, shifted = encoder(image), encoder(image[:, :, unit:])
    for stride, u in whole.items():
        cells, edge = unit * encoder.scale // stride, margin * encoder.scale // stride
        inner = slice(edge, -edge or None)
        demand(
            _close(u[:, :, cells:][:, :, inner], shifted[stride][:, :, inner]),
            encoder,
            f"stride {stride}: a shift by grid, {encoder.grid}, does not shift the features",
        )


def _check_stream(encoder: Encoder, image: Tensor, expected: Mapping[int, Tensor]) -> None:
    stream = encoder.stream()
    if stream is None:
        return
    parts = torch.split(image, encoder.multiple, dim=2)
    maps: dict[int, list[Tensor]] = {}
    for number, rows in enumerate(parts):
        for stride, pieces in stream.push(rows, last=number == len(parts) - 1).items():
            maps.setdefault(stride, []).extend(pieces)
    streamed = {stride: torch.cat(pieces, dim=2) for stride, pieces in maps.items()}
    found = encoder.complete(streamed, lambda: image)
    for stride, u in expected.items():
        same = stride in found and _close(dense(found[stride]), u)
        demand(same, encoder, f"stride {stride}: `stream` and `forward` differ")


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-7, atol=1e-7)
