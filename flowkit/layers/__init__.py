"""The layers of a flow, one family per file. Importing this package registers them."""

from flowkit.layers.actnorm import ActNorm
from flowkit.layers.base import FlowLayer, Shape
from flowkit.layers.conv1x1 import Conv1x1
from flowkit.layers.coupling import AffineCoupling
from flowkit.layers.injector import AffineInjector
from flowkit.layers.split import Split
from flowkit.layers.squeeze import Squeeze

__all__ = ["ActNorm", "AffineCoupling", "AffineInjector", "Conv1x1", "FlowLayer", "Shape", "Split", "Squeeze"]
