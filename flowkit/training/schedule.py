"""Learning rate against step."""

from __future__ import annotations

import math

from flowkit.recipe import TrainOptions


def learning_rate(step: int, options: TrainOptions) -> float:
    """Linear warm-up over `options.warmup` steps, then constant, or a cosine that ends at 1 % of `lr`."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    if options.schedule == "constant":
        return options.lr
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
