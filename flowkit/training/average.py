"""Exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """a <- d a + (1 - d) w after every step, for all floating-point weights and buffers.

    d grows from 0.1 to `decay` over the first steps, so that a short run is not an average with its start.

    Args:
        model: whose weights are averaged.
        decay: d in the long run; 0 keeps the latest weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = model.state_dict()
        moving = [k for k, v in now.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.state[k] for k in moving], [now[k] for k in moving], 1 - decay)
        for k in now.keys() - set(moving):
            self.state[k].copy_(now[k])

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from saved averages."""
        for k, v in self.state.items():
            v.copy_(state[k])
