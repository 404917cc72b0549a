"""The affine op: plain torch, torch.compile and the compiled kernels, side by side.

Bytes are those that the op has to move at least (forward: three tensors read and one written; backward: four
read and three written), whatever a variant moves in fact; they are held against a copy in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from flowkit.bench.report import Report
from flowkit.bench.timing import Timing, compare
from flowkit.ops import affine_packed, build_tools, kernels
from flowkit.ops.formula import affine_formula
from flowkit.tables import Cell

FORWARD, BACKWARD = 4, 7  # passes over a tensor of z's size


class Case(NamedTuple):
    """Inputs of the op."""

    size: tuple[int, int, int, int]
    dtype: torch.dtype = torch.float32
    layout: torch.memory_format = torch.contiguous_format


# Sizes as recipes meet them, and one far larger than the caches.
SMALL, MIDDLE, LARGE = (1, 24, 80, 80), (16, 24, 80, 80), (16, 24, 256, 256)
CASES = (
    *(Case(size, dtype) for size in (SMALL, MIDDLE, LARGE) for dtype in (torch.float32, torch.bfloat16)),
    Case(MIDDLE, layout=torch.channels_last),
)

Op = Callable[..., tuple[Tensor, Tensor]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no further options."""


def run(args: argparse.Namespace) -> Report:
    """Measure each direction in each case.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there are no compiled kernels.
    """
    device = torch.device(args.device)
    ops: dict[str, Op] = {"eager": formula}
    notes = [
        "Scale `soft`, shift and raw as the two halves of one tensor.",
        "GB/s: what the op has to move at least, by its time; % of copy: of a copy of z, same run.",
    ]
    if why := no_compile(device):
        notes.append(f"No torch.compile: {why}.")
    else:
        ops["compile"] = torch.compile(formula, dynamic=False)
    if kernels.available(device):
        ops["fused"] = affine_packed
    else:
        notes.append("No compiled kernels: see `flowkit env`, and `flowkit build-kernels`.")
    if device.type == "cuda":
        notes.append("graph: the same, captured in a CUDA graph and replayed.")
    rows = [row for case in CASES for row in _rows(ops, case, device, args.rounds)]
    return Report(f"op-{device.type}", "The affine op", rows, notes)


def formula(z: Tensor, parameters: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Compute the op in plain torch, as a layer without compiled kernels does."""
    shift, raw = parameters.chunk(2, dim=1)
    return affine_formula(z, shift, raw, inverse=inverse)


def no_compile(device: torch.device) -> str | None:
    """Return why torch.compile cannot compile here, or None if it can."""
    if device.type == "cpu":
        return None if build_tools.compiler() else "no C++ compiler"
    return None if importlib.util.find_spec("triton") else "no triton"


def _rows(ops: dict[str, Op], case: Case, device: torch.device, rounds: int) -> list[dict[str, Cell]]:
    torch.compiler.reset()  # a function is recompiled a few times only
    generator = torch.Generator().manual_seed(0)
    b, c, h, w = case.size

    def random(channels: int) -> Tensor:
        values = torch.randn(b, channels, h, w, generator=generator)
        return values.to(device, case.dtype, memory_format=case.layout)

    z, by_out, parameters = random(c), random(c), random(2 * c)
    by_log_det = torch.ones(b, device=device)

    def both(op: Op) -> object:
        inputs = [t.detach().requires_grad_() for t in (z, parameters)]
        return torch.autograd.grad(op(*inputs), inputs, (by_out, by_log_det))

    def one_way(op: Op, inverse: bool) -> object:
        with torch.no_grad():
            return op(z, parameters, inverse=inverse)

    passes: dict[str, tuple[Callable[[Op], object], int]] = {
        "forward": (lambda op: one_way(op, False), FORWARD),
        "inverse": (lambda op: one_way(op, True), FORWARD),
        "forward + backward": (both, FORWARD + BACKWARD),
    }
    copy = torch.empty_like(z)
    rows: list[dict[str, Cell]] = []
    for direction, (function, count) in passes.items():
        variants: dict[str, Callable[[], object]] = {name: partial(function, op) for name, op in ops.items()}
        if device.type == "cuda":
            variants |= {f"{name}, graph": _captured(call) for name, call in variants.items()}
        variants["copy"] = lambda: copy.copy_(z)
        timings = compare(variants, baseline="eager", device=device, rounds=rounds)
        moved = z.numel() * z.element_size()
        rows += _cells(case, direction, timings, count * moved, 2 * moved)
    return rows


def _cells(
    case: Case, direction: str, timings: dict[str, Timing], moved: int, copied: int
) -> list[dict[str, Cell]]:
    fastest = copied / timings["copy"].seconds
    rows: list[dict[str, Cell]] = []
    for variant, timing in timings.items():
        if variant == "copy":
            continue
        # replays are compared with replays
        rival = timings.get("compile, graph" if variant.endswith("graph") else "compile")
        rate = moved / timing.seconds
        rows.append(
            {
                "size": "x".join(map(str, case.size)),
                "type": str(case.dtype).removeprefix("torch."),
                "layout": "NHWC" if case.layout is torch.channels_last else "NCHW",
                "pass": direction,
                "op": variant,
                "ms": 1e3 * timing.seconds,
                "spread %": 100 * timing.spread,
                "times eager": timing.speedup,
                "times compile": rival.seconds / timing.seconds if rival else None,
                "GB/s": rate / 1e9,
                "% of copy": 100 * rate / fastest,
            }
        )
    return rows


def _captured(call: Callable[[], object]) -> Callable[[], object]:
    """Record `call` as a CUDA graph: the device's work without the waiting for launches."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it without annotations
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # compilations and allocations are not captured
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
