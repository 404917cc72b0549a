"""Exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch

from flowkit.flow import ConditionalFlow


class Average:
    """The average a <- d a + (1 - d) w after every step, of all floating-point weights and buffers.

    d grows from 0.1 to `decay` over the first steps, so that the average of a short run does not include its
    initial weights.

    Args:
        model: whose weights are averaged.
        decay: d in the long run; 0 keeps the latest weights.

    Attributes:
        model: a copy with the averaged weights, in eval mode.
        state: its weights and buffers, by name.
    """

    def __init__(self, model: ConditionalFlow, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.state = self.model.state_dict()

    @torch.no_grad()
    def update(self, model: ConditionalFlow, step: int) -> None:
        """Include the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = model.state_dict()
        moving = [k for k, v in now.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.state[k] for k in moving], [now[k] for k in moving], 1 - decay)
        for k in now.keys() - set(moving):
            self.state[k].copy_(now[k])
