"""Measurements of memory: kept for the backward pass, and the peaks of a device and of a process."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from flowkit.errors import FlowkitError


def saved_for_backward(run: Callable[[], object], exclude: Iterable[Tensor] = ()) -> int:
    """Measure the bytes that autograd keeps between the forward and the backward pass.

    Each storage counts once and whole, however many views of it are kept. What lies inside
    `torch.utils.checkpoint` is recomputed, not kept, and does not count; its inputs do.

    Args:
        run: the forward pass; what it returns is held until the bytes are counted.
        exclude: parameters, and inputs that exist anyway.

    >>> x = torch.randn(8, 100, requires_grad=True)
    >>> saved_for_backward(lambda: x.sigmoid() * x)  # the sigmoid's result (kept twice), and x
    6400
    >>> saved_for_backward(lambda: x.sigmoid() * x, exclude=[x])
    3200
    """
    held = {}  # by address, and held: an address that is freed meanwhile could be met again

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run()
    known = {tensor.untyped_storage().data_ptr() for tensor in exclude}
    total = sum(storage.nbytes() for address, storage in held.items() if address not in known)
    del result
    return total


def cuda_peak(run: Callable[[], object], device: torch.device | str = "cuda") -> int:
    """Measure the peak of PyTorch's allocator during `run`, in bytes above what was allocated before it."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


class Peak(NamedTuple):
    """Resident memory of a process, in bytes."""

    before: int
    """The peak before the function was called: the interpreter and the module's imports."""
    peak: int
    """The peak until the function returned."""


def process_peak(function: Callable[..., object], *args: object) -> Peak:
    """Run `function(*args)` in a fresh process, and return what that process needed.

    Args:
        function: of a module (a lambda or a local function cannot travel to another process).
        args: plain values: strings, numbers, paths.

    Raises:
        FlowkitError: the process failed; what it said stands on stderr.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, function, args))
    child.start()
    theirs.close()
    try:
        before, peak = ours.recv()
    except EOFError:
        before = peak = 0
    finally:
        ours.close()
        child.join()
    if child.exitcode:
        raise FlowkitError(f"{function.__name__} failed in a process of its own (exit code {child.exitcode})")
    return Peak(before, peak)


def _child(report: Connection, function: Callable[..., object], args: tuple[object, ...]) -> None:
    before = _highest()
    function(*args)
    report.send((before, _highest()))


def _highest() -> int:
    # Not ru_maxrss where it can be helped: Linux hands a parent's down to the children it starts.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix only

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
