"""A checkpoint's weights in a larger model, which computes the same function and can learn more.

Chen et al., Net2Net (arXiv:1511.05641), but with zeros in place of copies: new channels begin as in an
untrained network; the weights that read them begin as zeros, and are the first to have gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from flowkit.encoders.unet import Residual, UNet
from flowkit.flow import ConditionalFlow

ENCODER = "encoder."


@torch.no_grad()
def grown(model: ConditionalFlow, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's weights, for a model that may be larger than the checkpoint's.

    - A convolution may read more channels, after the channels of the checkpoint.
    - A U-Net may have more channels at every scale, and further, coarser scales.

    Weights that do not fit in these ways are left as they are.
    """
    own = model.state_dict()
    found = {
        name: _widened(value, own[name], outputs=name.startswith(ENCODER)) if name in own else value
        for name, value in tensors.items()
    }
    if isinstance(model.encoder, UNet):
        found |= _further_scales(model.encoder, tensors)
    return found


def _widened(value: Tensor, own: Tensor, *, outputs: bool) -> Tensor:
    """Return a tensor of `own`'s size: known values, `own`'s rows for new outputs, and otherwise zeros."""
    if value.shape == own.shape or value.dim() != own.dim() or value.shape[2:] != own.shape[2:]:
        return value
    if any(n > m for n, m in zip(value.shape, own.shape, strict=True)):
        return value
    if not outputs and (value.dim() != 4 or len(value) != len(own)):
        return value
    wide = own.clone()
    known = wide[: len(value)]
    if value.dim() == 1:
        known.copy_(value)
    else:
        known.zero_()
        known[:, : value.shape[1]] = value
    return wide


def _further_scales(encoder: UNet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts that a checkpoint with fewer scales lacks, with no effect on the finer scales."""
    known = {name.split(".")[2] for name in tensors if name.startswith(f"{ENCODER}down.")}
    found: dict[str, Tensor] = {}
    for part in ("down", "lift", "merge"):
        for number, module in getattr(encoder, part).named_children():
            if number in known:
                continue
            silent = [module] if part == "lift" else []
            if part == "merge":  # x + 0, for an x that has passed relu already
                silent = [block.body[-1] for block in module if isinstance(block, Residual)]
            for last in silent:
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)
            found |= {f"{ENCODER}{part}.{number}.{k}": v for k, v in module.state_dict().items()}
    return found
