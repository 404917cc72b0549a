"""Image features that lie partly on a coarser grid, and convolutions that do not upsample them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.errors import ShapeError


class PartlyCoarse(NamedTuple):
    """Features (B, C1 + C2, h, w): `fine`, then `coarse`, upsampled by nearest neighbour.

    SRFlow's condition at its finest level is such a map: four of its five parts come from the coarser grid of
    the trunk, so that every value occurs four times.

    Attributes:
        fine: (B, C1, h, w).
        coarse: (B, C2, h / 2, w / 2).
    """

    fine: Tensor
    coarse: Tensor

    def dense(self) -> Tensor:
        """Return the whole map, (B, C1 + C2, h, w)."""
        return torch.cat([self.fine, F.interpolate(self.coarse, scale_factor=2, mode="nearest")], dim=1)


Features = Tensor | PartlyCoarse


def dense(features: Features) -> Tensor:
    """Return features as one tensor (B, C, h, w)."""
    return features if isinstance(features, Tensor) else features.dense()


def in_type_of(like: Tensor, features: Features) -> Features:
    """Return features in another tensor's type and on its device."""
    if isinstance(features, PartlyCoarse):
        return PartlyCoarse(*(part.to(like) for part in features))
    return features.to(like)


def convolve(convolutions: nn.Conv2d | Sequence[nn.Conv2d], features: Features) -> Tensor:
    """Compute `convolution(dense(features))`: odd square kernel, stride 1, padding that keeps the size.

    Several convolutions of one kernel size, all with a bias or all without, are computed as one with more
    output channels.

    A k x k convolution of an upsampled map equals four convolutions of the coarse one, one for each place of
    a fine cell in a coarse cell, with k // 2 + 1 taps a side, because taps on the same coarse cell add up.
    For k = 3 that is 4/9 of the work, zero padding included.

    Raises:
        ShapeError: the channels do not fit.
    """
    if isinstance(convolutions, nn.Conv2d):
        if isinstance(features, Tensor):
            whole: Tensor = convolutions(features)
            return whole
        convolutions = [convolutions]
    weight, bias = _joined(convolutions)
    padding = weight.shape[-1] // 2
    if isinstance(features, Tensor):
        return F.conv2d(features, weight, bias, padding=padding)
    channels = features.fine.shape[1]
    found = channels + features.coarse.shape[1]
    if found != weight.shape[1]:
        raise ShapeError(f"expected features of {weight.shape[1]} channels, got {found}")
    fine = F.conv2d(features.fine, weight[:, :channels], bias, padding=padding)
    return fine + _on_upsampled(features.coarse, weight[:, channels:])


def _joined(convolutions: Sequence[nn.Conv2d]) -> tuple[Tensor, Tensor | None]:
    """Concatenate the weights and biases of all."""
    first, *others = convolutions
    if not others:
        return first.weight, first.bias
    biases = [convolution.bias for convolution in convolutions if convolution.bias is not None]
    weight = torch.cat([convolution.weight for convolution in convolutions])
    return weight, torch.cat(biases) if biases else None


def _on_upsampled(coarse: Tensor, weight: Tensor) -> Tensor:
    """Convolve `coarse` (B, C, h, w), upsampled to (2h, 2w), by `weight` (O, C, k, k)."""
    height, width = coarse.shape[2:]
    half = weight.shape[-1] // 2
    folded = _fold(_fold(weight, 3), 3)  # (row in the coarse cell, column in it, O, C, taps, taps)
    before = (half + 1) // 2
    maps = F.conv2d(coarse, folded.flatten(0, 2), padding=before).chunk(4, dim=1)
    starts = [(place - half) // 2 + before for place in (0, 1)]
    places = [
        map_[..., top : top + height, left : left + width]
        for map_, (top, left) in zip(maps, itertools.product(starts, starts), strict=True)
    ]
    return F.pixel_shuffle(torch.stack(places, dim=2).flatten(1, 2), 2)


def _fold(weight: Tensor, dim: int) -> Tensor:
    """Turn taps along `dim` into (2, ...) on the coarse grid, for both places in a coarse cell."""
    taps = weight.shape[dim]
    half = taps // 2
    both = []
    for place in (0, 1):
        cells = [(place + tap - half) // 2 - (place - half) // 2 for tap in range(taps)]
        sums = [
            torch.stack([weight.select(dim, tap) for tap in range(taps) if cells[tap] == cell]).sum(0)
            for cell in range(half + 1)
        ]
        both.append(torch.stack(sums, dim))
    return torch.stack(both)
