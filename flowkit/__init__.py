"""Conditional normalizing flows on images: p(y | x) from declarative recipes.

>>> from flowkit import build
>>> model = build("binarize")
>>> model.in_channels, model.scale
(3, 1)
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "CapturedSampler": "flow",
    "ConditionalDistribution": "flow",
    "ConditionalFlow": "flow",
    "FlowLayer": "layers",
    "FlowkitError": "errors",
    "Shape": "layers",
    "as_distribution": "flow",
    "build": "recipe",
    "load": "checkpoint",
    "read_recipe": "recipe",
    "register": "registry",
    "save": "checkpoint",
    "unchecked": "flow",
}

if TYPE_CHECKING:
    from flowkit.checkpoint import load, save
    from flowkit.errors import FlowkitError
    from flowkit.flow import (
        CapturedSampler,
        ConditionalDistribution,
        ConditionalFlow,
        as_distribution,
        unchecked,
    )
    from flowkit.layers import FlowLayer, Shape
    from flowkit.recipe.build import build
    from flowkit.recipe.recipe import read_recipe
    from flowkit.registry import register
else:

    def __getattr__(name: str) -> object:
        """Import a public name or a module when it is first used: `flowkit --help` needs no torch."""
        if name.startswith("_"):
            raise AttributeError(f"module 'flowkit' has no attribute '{name}'")
        path = f"flowkit.{_HOMES.get(name, name)}"
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
            raise AttributeError(f"module 'flowkit' has no attribute '{name}'") from None
        globals()[name] = getattr(module, name) if name in _HOMES else module
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "CapturedSampler",
    "ConditionalDistribution",
    "ConditionalFlow",
    "FlowLayer",
    "FlowkitError",
    "Shape",
    "as_distribution",
    "build",
    "load",
    "read_recipe",
    "register",
    "save",
    "unchecked",
]
