"""Conditional flows: the model, its passes through the layers, fast training and fast sampling."""

from flowkit.flow.checks import unchecked
from flowkit.flow.cuda_graphs import CapturedSampler
from flowkit.flow.distribution import ConditionalDistribution
from flowkit.flow.model import ConditionalFlow
from flowkit.flow.torch_distribution import as_distribution

__all__ = ["CapturedSampler", "ConditionalDistribution", "ConditionalFlow", "as_distribution", "unchecked"]
