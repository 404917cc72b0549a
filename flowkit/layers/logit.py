"""Maps between an interval and the real line: the logit, and its inverse, the sigmoid."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkit.errors import ShapeError
from flowkit.layers.base import FlowLayer, Shape
from flowkit.registry import register


@register("logit")
class Logit(FlowLayer):
    """(0, 1) -> R: y = log p - log(1 - p), p = eps + (1 - 2 eps) x; log|det| = sum log dy/dx, elementwise.

    With eps > 0, 0 and 1 themselves are allowed. Values outside [0, 1] by more than eps give NaN. Dinh et
    al., RealNVP (arXiv:1605.08803), section 4.1, where eps is alpha.

    Args:
        shape: of the input.
        eps: how far p stays away from 0 and 1.

    Raises:
        ShapeError: eps is below 0, or not less than 0.5.

    >>> import torch
    >>> from flowkit.layers import Logit, Shape
    >>> z, log_det = Logit(Shape(1, 1), eps=0)(torch.full((1, 1, 1, 2), 0.5))
    >>> z, log_det.exp()  # the slope at 1/2 is 4, at each of two cells
    (tensor([[[[0., 0.]]]]), tensor([16.]))
    """

    unit = True

    def __init__(self, shape: Shape, *, eps: float = 1e-6) -> None:
        super().__init__(shape)
        if not 0 <= eps < 0.5:
            raise ShapeError(f"eps must be 0 or more, and less than 0.5, got {eps}")
        self.eps = eps

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply the logit."""
        outputs = _logit(self.eps + (1 - 2 * self.eps) * inputs)
        return outputs, self._log_det(outputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply the sigmoid."""
        outputs = (torch.sigmoid(inputs) - self.eps) / (1 - 2 * self.eps)
        return outputs, -self._log_det(inputs)

    def extra_repr(self) -> str:
        """Return eps, for `print(model)`."""
        return f"eps={self.eps}"

    def _log_det(self, logits: Tensor) -> Tensor:
        size = math.prod(logits.shape[1:])
        return size * math.log1p(-2 * self.eps) - _log_slope(logits)


@register("sigmoid")
class Sigmoid(FlowLayer):
    """R -> (0, 1): y = 1 / (1 + exp(-x)); log|det| = sum log y (1 - y), elementwise.

    Large values round to 0 or 1; the inverse replaces these by the nearest numbers inside.

    >>> import torch
    >>> from flowkit.layers import Shape, Sigmoid
    >>> Sigmoid(Shape(1, 1))(torch.zeros(1, 1, 1, 2))[0]
    tensor([[[[0.5000, 0.5000]]]])
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply the sigmoid."""
        return torch.sigmoid(inputs), _log_slope(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Apply the logit."""
        number = torch.finfo(inputs.dtype)
        inside = torch.where(inputs == 0, number.tiny, torch.where(inputs == 1, 1 - number.eps / 2, inputs))
        outputs = _logit(inside)
        return outputs, -_log_slope(outputs)


def _logit(p: Tensor) -> Tensor:
    return torch.log(p) - torch.log1p(-p)


def _log_slope(logits: Tensor) -> Tensor:
    """Sum log p (1 - p) of p = sigmoid(logits), (B,): finite where p has rounded to 0 or 1."""
    return -(F.softplus(logits) + F.softplus(-logits)).flatten(1).sum(1)
