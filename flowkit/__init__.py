"""Conditional normalizing flows on images: p(y | x) from declarative recipes.

>>> from flowkit import build
>>> model = build("binarize")
>>> model.in_channels, model.scale
(3, 1)
"""

import flowkit.encoders
import flowkit.interop
import flowkit.layers
import flowkit.targets  # noqa: F401  # registers
from flowkit.checkpoint import load, save
from flowkit.errors import FlowkitError
from flowkit.flow import ConditionalDistribution, ConditionalFlow
from flowkit.flow.cuda_graphs import CapturedSampler
from flowkit.layers import FlowLayer, Shape
from flowkit.recipe import build, read_recipe
from flowkit.registry import register

__version__ = "0.1.0"

__all__ = [
    "CapturedSampler",
    "ConditionalDistribution",
    "ConditionalFlow",
    "FlowLayer",
    "FlowkitError",
    "Shape",
    "build",
    "load",
    "read_recipe",
    "register",
    "save",
]
