"""What the compiled op tells torch about itself."""

from __future__ import annotations

import torch
from torch import Tensor


def register_fakes() -> None:
    """Say which shapes the op's results have, for `torch.compile` and `opcheck`."""

    @torch.library.register_fake("flowkit::affine")  # type: ignore[untyped-decorator,unused-ignore]
    def affine(
        z: Tensor, shift: Tensor, raw: Tensor, scale: int, eps: float, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        return z.new_empty(z.shape), z.new_empty(z.shape[:1])

    @torch.library.register_fake("flowkit::affine_backward")  # type: ignore[untyped-decorator,unused-ignore]
    def affine_backward(
        by_out: Tensor,
        by_log_det: Tensor,
        z: Tensor,
        shift: Tensor,
        raw: Tensor,
        scale: int,
        eps: float,
        inverse: bool,
    ) -> tuple[Tensor, Tensor]:
        return z.new_empty(z.shape), z.new_empty(z.shape)
