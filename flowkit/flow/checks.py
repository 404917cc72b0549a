"""Checks of the tensors that a flow is given: type, dtype, device, shape and values, at its public methods.

Everything behind those methods trusts what it is given. A look at values costs a pass over the tensor, and on
a GPU it waits for the device; `unchecked` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowkit.errors import TensorError

_trusting: ContextVar[bool] = ContextVar("flowkit_unchecked", default=False)


@contextmanager
def unchecked() -> Iterator[None]:
    """Skip the checks of values inside this context, for data that are known to be finite and in range.

    Types, dtypes, devices and shapes are checked as ever. Under `torch.compile` and `torch.func`, and while a
    CUDA graph is recorded, values are never looked at.

        with unchecked():
            loss = -model(image).log_prob(y).mean()
    """
    before = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(before)


def check_tensor(
    value: object, what: str, dtype: torch.dtype | None, device: torch.device | None, *, boolean: bool = False
) -> Tensor:
    """Return `value` if it is a tensor of this dtype (or boolean, where that will do) on this device.

    Raises:
        TensorError: it is not.
    """
    if not isinstance(value, Tensor):
        raise TensorError(f"{what}: expected a torch tensor, got {_described(value)}")
    if dtype is not None and value.dtype != dtype and not (boolean and value.dtype == torch.bool):
        kinds = f"{dtype} or torch.bool" if boolean else dtype
        raise TensorError(f"{what}: expected {kinds}, got {value.dtype}{_advice(value)}")
    if device is not None and value.device != device:
        raise TensorError(f"{what}: is on {value.device}, but the model on {device}")
    return value


def check_values(value: Tensor, what: str, expected: str, admitted: Tensor) -> None:
    """Refuse a tensor unless `admitted`, of its shape, is True everywhere.

    Raises:
        TensorError: naming what is there and what is `expected`.
    """
    if bool(admitted.all()):
        return
    wrong = value.detach()[~admitted]
    place = tuple((~admitted).nonzero()[0].tolist())
    if bool(wrong.isfinite().all()):
        low, high = (float(end) for end in value.detach().aminmax())
        found = f"{float(wrong[0]):g} at {place}; all values lie from {low:g} to {high:g}"
    else:
        count = int((~value.detach().isfinite()).sum())
        found = f"{count:,} of {value.numel():,} values that are not finite, the first wrong one at {place}"
    raise TensorError(f"{what}: expected {expected}, got {found}")


def looks_at(value: Tensor) -> bool:
    """Return whether the values of a tensor can be looked at, and the caller does not vouch for them."""
    if torch.compiler.is_compiling() or _trusting.get():
        return False
    functorch: Any = torch._C._functorch
    # Subclasses may hold no values (FakeTensor) or a part of them (DTensor); vmap hides them.
    if type(value) not in (Tensor, nn.Parameter) or functorch.peek_interpreter_stack() is not None:
        return False
    return not (value.is_cuda and torch.cuda.is_current_stream_capturing())


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"a NumPy array {value.shape}; torch.from_numpy makes a tensor of it"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}; torch.tensor or torch.stack makes a tensor of it"
    if type(value).__module__.startswith("PIL."):
        return "a Pillow image; flowkit.pages reads pages, torch.from_numpy makes a tensor of an array"
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _advice(value: Tensor) -> str:
    if value.dtype == torch.uint8:
        return "; 8-bit levels are divided by 255 first"
    if value.is_floating_point():
        return "; .to() converts it, or the model"
    return ""
