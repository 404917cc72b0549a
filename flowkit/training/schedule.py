"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from flowkit.recipe import TrainOptions

LEAST = 0.01  # of the learning rate, at the end of a cosine


def share_of_rate(step: int, options: TrainOptions) -> float:
    """Return the factor of the learning rate at a step.

    After a linear warm-up over `options.warmup` steps, the factor is 1, or half a cosine that ends at 1 %, or
    `gamma` to the power of the number of `milestones` that have passed.
    """
    if step < options.warmup:
        return (step + 1) / options.warmup
    if options.schedule == "constant":
        return 1.0
    if options.schedule == "step":
        passed = sum(step >= milestone * options.steps for milestone in options.milestones)
        return float(options.gamma**passed)
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
