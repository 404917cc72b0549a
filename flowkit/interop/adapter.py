"""Adapters made from rows of a table: a class of another library, its options and their defaults."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from flowkit.interop.host import HostLayer
from flowkit.layers.base import Shape
from flowkit.registry import register

# What libraries call the number of channels of the input, and of the features.
CHANNELS = ("features", "channels", "num_channels", "num_input_channels")
CONTEXT_CHANNELS = ("context_features", "num_context_channels")


class Typed(NamedTuple):
    """An option whose type is not that of its default, or that has no default."""

    annotation: Any
    default: Any = inspect.Parameter.empty


def adapt(
    base: type[HostLayer],
    module: str,
    name: str,
    about: str,
    host: Callable[..., nn.Module],
    options: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> None:
    """Make the adapter of a class of another library, and register it.

    Args:
        base: the class of the adapter's base, whose constructor takes (shape, host, context).
        module: the name of the module that the adapter becomes part of.
        name: as recipes write it: `library/name`.
        about: its docstring.
        host: the class, or a function that makes an instance. Its parameters in `CHANNELS` and
            `CONTEXT_CHANNELS` receive these numbers, `shape` and `context` the shapes, and the options are
            passed by name. An adapter whose host takes any of the context's reads features.
        options: the options of recipes, with their defaults; `Typed` where a default does not say the type.
        attributes: of the adapter's class.
    """
    typed = {
        option: default if isinstance(default, Typed) else Typed(type(default), default)
        for option, default in (options or {}).items()
    }
    taken = inspect.signature(host).parameters
    reads = any(parameter in taken for parameter in ("context", *CONTEXT_CHANNELS))
    signature = _signature(typed, reads)

    def __init__(self: HostLayer, *args: Any, **given: Any) -> None:
        bound = signature.bind(self, *args, **given)
        bound.apply_defaults()
        shape, context = bound.arguments["shape"], bound.arguments.get("context")
        sizes = {"shape": shape, **dict.fromkeys(CHANNELS, shape.channels)}
        if context is not None:
            sizes |= {"context": context, **dict.fromkeys(CONTEXT_CHANNELS, context.channels)}
        sizes = {parameter: size for parameter, size in sizes.items() if parameter in taken}
        made = host(**sizes, **{option: bound.arguments[option] for option in typed})
        base.__init__(self, shape, made, context)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__annotations__ = {
        parameter.name: parameter.annotation for parameter in list(signature.parameters.values())[1:]
    }
    cls_name = "".join(part.capitalize() for part in name.partition("/")[2].split("_"))
    body = {"__init__": __init__, "__doc__": about, "__module__": module, **attributes}
    vars(sys.modules[module])[cls_name] = register(name)(type(cls_name, (base,), body))


def _signature(options: Mapping[str, Typed], reads: bool) -> inspect.Signature:
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shapes = ["shape", *(["context"] if reads else [])]
    parameters = [inspect.Parameter("self", either)]
    parameters += [inspect.Parameter(name, either, annotation=Shape) for name in shapes]
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=option.annotation, default=option.default
        )
        for name, option in options.items()
    ]
    return inspect.Signature(parameters)
