"""Marks for `torch.compile` without the import of the compiler, and a look at what traces or transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T", bound=Callable[..., Any])


def assume_constant(function: T) -> T:
    """Mark a function whose result is a constant to `torch.compile`.

    `torch.compiler.assume_constant_result` sets the same mark, but imports all of dynamo to do so, which
    takes as long as the rest of torch. A test compares the two.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@assume_constant
def transformed() -> bool:
    """Return true inside a transform of `torch.func`, forward-mode differentiation, or `torch.export`."""
    if torch.compiler.is_exporting():
        return True  # who reads an exported program knows torch's own ops alone
    functorch: Any = torch._C._functorch
    forward: Any = torch.autograd.forward_ad
    return functorch.peek_interpreter_stack() is not None or forward._current_level >= 0
