"""Models in use, not in training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from flowkit.flow import ConditionalFlow


@contextmanager
def inference(model: ConditionalFlow) -> Iterator[None]:
    """Put a model into eval mode without gradients for the block; restore its modules' modes afterwards."""
    # No inference_mode: layers keep what they computed, and training could not go on with its tensors.
    modes = [(module, module.training) for module in model.modules()]
    training = any(mode for _, mode in modes)
    if training:  # to set what is set already takes longer than a small tile
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes if training else ():
            module.training = mode  # one by one: parts of a model may be frozen while others train
