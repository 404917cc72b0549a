"""A custom layer: a constructor, two directions, and a decorator. use_custom_layer.py tests it.

flowkit check examples/custom_layer.yaml --import examples/custom_layer.py
"""

from __future__ import annotations

import math

import torch
from torch import nn

from flowkit import FlowLayer, Shape, register


@register("tails")
class Tails(FlowLayer):
    """y = sinh(e^a asinh x), a = tanh(conv(u)): the image decides how heavy the tails are.

    Jones and Pewsey, "Sinh-arcsinh distributions", Biometrika 96 (2009).
    """

    def __init__(self, shape: Shape, context: Shape, *, kernel: int = 3):
        super().__init__(shape, context)
        self.network = nn.Conv2d(context.channels, shape.channels, kernel, padding=kernel // 2)
        self.reach = kernel // 2

    def condition(self, features):
        return (torch.tanh(self.network(features)),)  # once per image, for all samples

    def forward(self, inputs, context=None):
        return self.bend(inputs, context[0])

    def inverse(self, inputs, context=None):
        return self.bend(inputs, -context[0])

    def bend(self, x, a):
        t = a.exp() * x.asinh()
        log_derivative = a + torch.logaddexp(t, -t) - math.log(2) - 0.5 * x.square().log1p()
        return t.sinh(), log_derivative.flatten(1).sum(1)
