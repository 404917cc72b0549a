"""The layers of a flow, one family per file. Importing this package registers them."""

from flowkit.layers.actnorm import ActNorm
from flowkit.layers.base import FlowLayer, Shape, make_example
from flowkit.layers.common_factor import CommonFactor
from flowkit.layers.conditional_conv1x1 import ConditionalConv1x1
from flowkit.layers.conv1x1 import Conv1x1
from flowkit.layers.coupling import AdditiveCoupling, AffineCoupling, Coupling
from flowkit.layers.haar import Haar
from flowkit.layers.injector import AffineInjector
from flowkit.layers.inverse import Inverse
from flowkit.layers.logit import Logit, Sigmoid
from flowkit.layers.permute import Permute, Reverse
from flowkit.layers.spline import SplineCoupling
from flowkit.layers.split import ConditionalSplit, Split
from flowkit.layers.squeeze import Squeeze
from flowkit.layers.subtract import Subtract

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "AffineInjector",
    "CommonFactor",
    "ConditionalConv1x1",
    "ConditionalSplit",
    "Conv1x1",
    "Coupling",
    "FlowLayer",
    "Haar",
    "Inverse",
    "Logit",
    "Permute",
    "Reverse",
    "Shape",
    "Sigmoid",
    "SplineCoupling",
    "Split",
    "Squeeze",
    "Subtract",
    "make_example",
]
