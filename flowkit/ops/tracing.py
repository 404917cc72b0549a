"""Marks that `torch.compile` reads, without the import of the compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


def assume_constant(function: T) -> T:
    """Mark a function whose result is a constant to `torch.compile`.

    `torch.compiler.assume_constant_result` sets the same mark, but imports all of dynamo to do so, which
    takes as long as the rest of torch. A test compares the two.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
