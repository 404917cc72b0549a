"""Models for pages: found by name, and checked for their use."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike

from flowkit.checkpoint import load
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.targets import Target

Model = str | PathLike[str] | ConditionalFlow
"""A model that ships with the package, a checkpoint, or a flow."""


def flow_for(model: Model, target: type[Target], channels: Collection[int]) -> ConditionalFlow:
    """Return the named flow.

    Raises:
        CheckpointError: it cannot be loaded, its target is another, or has other channels.
    """
    if isinstance(model, ConditionalFlow):
        flow, name = model, "the model"
    else:
        flow, name = load(model), f"model {model}"
    if not isinstance(flow.target, target) or flow.target.channels not in channels:
        kind = type(flow.target).__name__.lower()
        raise CheckpointError(
            f"{name}: its target is {kind} with {flow.target.channels} channel(s), "
            f"expected {target.__name__.lower()} with {' or '.join(map(str, channels))}"
        )
    return flow
