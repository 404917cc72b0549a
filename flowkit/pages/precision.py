"""The precision of encoders and networks, which may be low; what is done to latents never is."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from flowkit.errors import FlowkitError

Resolved = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32", "bfloat16"]

QUICK = ("amx_bf16", "avx512_bf16")
"""Instructions of processors that are known to be quicker in bfloat16."""


def resolved(precision: Precision, device: str = "cpu") -> Resolved:
    """Return the precision in which to compute on a kind of device.

    `auto` is bfloat16 on processors with instructions for it, float32 elsewhere: it depends on the processor
    alone, never on a measurement, so that a machine computes the same page every time.

    Args:
        precision: of the encoder and, on processors, of the networks that read its features.
        device: the kind of device.

    Raises:
        ValueError: another name.
        FlowkitError: bfloat16 is asked for, and the processor, or the GPU, does not compute in it.
    """
    if precision not in get_args(Precision):
        raise ValueError(f'precision must be auto, float32 or bfloat16, got "{precision}"')
    if precision == "auto":
        quick = device == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in QUICK)
        return "bfloat16" if quick else "float32"
    if precision == "bfloat16" and not _has_bfloat16(device):
        raise FlowkitError(
            "precision bfloat16: this device does not compute in it (of processors, those with avx512_bf16, "
            "amx_bf16 or ARM's bf16 do), expected float32 or auto"
        )
    return precision


def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
