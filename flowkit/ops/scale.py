"""Scale maps: a network's raw output -> the logarithm of a positive scale.

Only the log-scale is ever made; the scale is its exponential and the log-det its sum. Deriving one from the
other with `log(scale)` is where published flows meet -inf and NaN.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Scale = Literal["soft", "sigmoid", "exp"]
SCALES: tuple[str, ...] = get_args(Scale)

# |log s| < 2 per layer: a step may stretch or shrink by up to e^2, which sixteen steps in float32 survive.
SOFT_LIMIT = 2.0


def check_eps(eps: float) -> float:
    """Return `eps` if it can be added to a scale.

    Raises:
        ValueError: it is negative, infinite or NaN.
    """
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps must be 0 or more and finite, got {eps}")
    return eps


def log_scale(raw: Tensor, scale: Scale = "soft", eps: float = 0.0) -> Tensor:
    """Compute log s(raw), elementwise.

    - `soft`:    log s = r / (1 + |r| / 2): the identity map at r = 0, -2 < log s < 2, value and gradient
      bounded for every finite r.
    - `sigmoid`: s = sigmoid(r + 2), as Glow (arXiv:1807.03039) and, with eps = 1e-4, SRFlow
      (arXiv:2006.14200): s = 0.88 at r = 0, never above 1.
    - `exp`:     log s = r, unbounded, as RealNVP (arXiv:1605.08803).

    `eps` > 0 is added to s, in the log domain.

    Raises:
        ValueError: no scale map has that name.

    >>> log_scale(torch.tensor([-1e4, 0.0, 2.0]))
    tensor([-1.9996,  0.0000,  1.0000])
    """
    if scale == "soft":
        value = raw / (1 + raw.abs() / SOFT_LIMIT)
    elif scale == "sigmoid":
        value = F.logsigmoid(raw + 2)
    elif scale == "exp":
        value = raw
    else:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    if eps:
        value = torch.logaddexp(value, torch.full_like(value, math.log(eps)))
    return value
