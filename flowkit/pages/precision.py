"""The precision of the encoder, which may be low; the flow's bijections never are."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from flowkit.errors import FlowkitError

Precision = Literal["float32", "bfloat16"]


def check_precision(precision: Precision, device: str = "cpu") -> None:
    """Refuse an unknown precision, and bfloat16 on processors that emulate it.

    Args:
        precision: of an encoder.
        device: the kind of device that it runs on.

    Raises:
        ValueError: another name.
        FlowkitError: the processor, or the GPU, does not compute in it.
    """
    if precision not in get_args(Precision):
        raise ValueError(f'precision must be float32 or bfloat16, got "{precision}"')
    if precision == "bfloat16" and not _has_bfloat16(device):
        raise FlowkitError(
            "precision bfloat16: this device does not compute in it (of processors, those with avx512_bf16, "
            "amx_bf16 or ARM's bf16 do), expected float32"
        )


def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
