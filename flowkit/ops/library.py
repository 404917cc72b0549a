"""Declarations of the compiled op for torch."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last(raw: Tensor) -> bool:
    """Return true if results lie in channels_last, as a network's output does."""
    return raw.dim() == 4 and raw.stride(1) < raw.stride(3)


def register_fakes() -> None:
    """Declare the shapes, types and layouts of the op's results, for `torch.compile` and `opcheck`."""

    @torch.library.register_fake("flowkit::affine")  # type: ignore[untyped-decorator,unused-ignore]
    def affine(
        z: Tensor, shift: Tensor, raw: Tensor, start: int, scale: int, eps: float, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        real = torch.promote_types(z.dtype, torch.float32)
        return _empty(z, z.shape, raw), z.new_empty(z.shape[:1], dtype=real)

    @torch.library.register_fake("flowkit::affine_backward")  # type: ignore[untyped-decorator,unused-ignore]
    def affine_backward(
        by_out: Tensor,
        by_log_det: Tensor,
        z: Tensor,
        shift: Tensor,
        raw: Tensor,
        start: int,
        interleaved: bool,
        scale: int,
        eps: float,
        inverse: bool,
    ) -> tuple[Tensor, Tensor]:
        batch, channels, *sides = raw.shape
        return _empty(z, z.shape, raw), _empty(z, (batch, 2 * channels, *sides), raw)


def _empty(z: Tensor, shape: tuple[int, ...], raw: Tensor) -> Tensor:
    layout = torch.channels_last if channels_last(raw) else torch.contiguous_format
    return torch.empty(shape, dtype=z.dtype, device=z.device, memory_format=layout)
