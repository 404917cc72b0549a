"""`check_layer` must fail for a layer that is wrong, each in its way."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flowkit import FlowLayer, Shape
from flowkit.testing import check_layer


class Scale(FlowLayer):
    """y = x exp(a): right; each test below spoils one thing."""

    def __init__(self):
        super().__init__(Shape(3, 1))
        self.log_scale = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, inputs, context=None):
        return inputs * self.log_scale.exp(), self.log_det(inputs)

    def inverse(self, inputs, context=None):
        return inputs * (-self.log_scale).exp(), -self.log_det(inputs)

    def log_det(self, inputs):
        return (self.log_scale * inputs[0].numel()).expand(len(inputs))


class WrongLogDet(Scale):
    def log_det(self, inputs):
        return super().log_det(inputs) * 1.001


class WrongInverse(Scale):
    def inverse(self, inputs, context=None):
        return inputs * (1 - self.log_scale), -self.log_det(inputs)


class NoLogDet(Scale):
    def forward(self, inputs, context=None):
        return inputs * self.log_scale.exp()


class NoLogDetBack(Scale):
    def inverse(self, inputs, context=None):
        return inputs * (-self.log_scale).exp()


class ScalarLogDet(Scale):
    def log_det(self, inputs):
        return self.log_scale * inputs[0].numel()


class InPlace(Scale):
    def forward(self, inputs, context=None):
        return inputs.mul_(self.log_scale.detach().exp()), self.log_det(inputs)


class SeesTheBatch(Scale):
    def forward(self, inputs, context=None):
        return (inputs + inputs.mean(0).detach() * 1e-3) * self.log_scale.exp(), self.log_det(inputs)

    def inverse(self, inputs, context=None):
        x = inputs * (-self.log_scale).exp()
        return x - x.mean(0).detach() / (1 + 1e-3) * 1e-3, -self.log_det(inputs)


class NoGradient(Scale):
    def log_det(self, inputs):
        return super().log_det(inputs).detach()


class LowPrecision(Scale):
    def forward(self, inputs, context=None):
        return inputs * self.log_scale.exp(), self.log_det(inputs).float()


class ForgetfulState(Scale):
    def __init__(self):
        super().__init__()
        self.offset = 0.0

    def forward(self, inputs, context=None):
        return inputs * self.log_scale.exp() + self.offset, self.log_det(inputs)

    def inverse(self, inputs, context=None):
        return (inputs - self.offset) * (-self.log_scale).exp(), -self.log_det(inputs)

    def __deepcopy__(self, memo):
        other = ForgetfulState()
        other.offset = 1.0
        return other


class SeesFurther(Scale):
    """The neighbour to the right decides, through a kernel that `reach` does not mention."""

    def __init__(self):
        super().__init__()
        self.context = Shape(1, 1)

    def forward(self, inputs, context=None):
        shift = context[0].roll(1, 3)
        return (inputs + shift) * self.log_scale.exp(), self.log_det(inputs)

    def inverse(self, inputs, context=None):
        return inputs * (-self.log_scale).exp() - context[0].roll(1, 3), -self.log_det(inputs)

    def condition(self, features):
        return (features,)


class Transposed(Scale):
    def __init__(self):
        super().__init__()
        self.register_buffer("matrix", torch.ones(3, 2).T)


class GraphBreak(Scale):
    def forward(self, inputs, context=None):
        factor = 1.0 if inputs.sum().item() > -1e9 else 2.0
        return inputs * self.log_scale.exp() * factor, self.log_det(inputs)


def check(layer):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 3, 2, 4, generator=generator, dtype=torch.float64)
    features = None if layer.context is None else torch.randn(2, 1, 2, 4, generator=generator).double()
    check_layer(layer.eval(), inputs, features)


def test_a_right_layer_passes():
    check(Scale())


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (WrongLogDet, "WrongLogDet.forward: log|det| is off the Jacobian's by"),
        (WrongInverse, "WrongInverse.forward: its inverse is off by"),
        (NoLogDet, r"NoLogDet.forward: returned Tensor, expected \(outputs, log|det|\)"),
        (NoLogDetBack, r"NoLogDetBack.inverse: returned Tensor, expected \(outputs, log|det|\)"),
        (ScalarLogDet, r"ScalarLogDet.forward: log|det| is \(\), expected \(2,\)"),
        (InPlace, "InPlace.forward: changes its input in place"),
        (SeesTheBatch, "SeesTheBatch.forward: in another order|SeesTheBatch.forward: alone|off"),
        (SeesFurther, "SeesFurther.forward: sees . cells away, but its reach is 0"),
        (NoGradient, "NoGradient.forward: gradients are not those of finite differences"),
        (LowPrecision, "LowPrecision.forward: torch.float64 became torch.float64, log|det| torch.float32"),
        (Transposed, 'Transposed: "matrix" is not contiguous; .contiguous..'),
        (GraphBreak, r"GraphBreak.forward: torch.compile\(fullgraph=True\) fails: "),
        (ForgetfulState, "ForgetfulState.forward: after deepcopy: outputs differ"),
    ],
)
def test_a_wrong_layer_fails_by_name(cls, message):
    with pytest.raises(AssertionError, match=message.replace("|det|", r"\|det\|")):
        check(cls())
