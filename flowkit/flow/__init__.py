"""Conditional flows: the model, its passes through the layers, and faster ways to train it and to sample."""

from flowkit.flow.cuda_graphs import CapturedSampler
from flowkit.flow.model import ConditionalDistribution, ConditionalFlow

__all__ = ["CapturedSampler", "ConditionalDistribution", "ConditionalFlow"]
