"""The affine op: plain torch and the compiled kernels, side by side.

Bytes are those that the op has to move at least (forward: three tensors read and one written; backward: four
read and two written), whatever a variant moves in fact; they are held against a copy in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from flowkit.bench.report import Cell, Report
from flowkit.bench.timing import compare
from flowkit.ops import affine, kernels
from flowkit.ops.affine import affine_formula

# The first two as recipes meet them, the third far larger than the caches.
SIZES = ((1, 24, 80, 80), (16, 24, 80, 80), (16, 24, 256, 256))
FORWARD, BACKWARD = 4, 6  # passes over a tensor of z's size

Op = Callable[..., tuple[Tensor, Tensor]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beside what every table has."""


def run(args: argparse.Namespace) -> Report:
    """Measure each direction at each size.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there are no compiled kernels.
    """
    device = torch.device(args.device)
    ops: dict[str, Op] = {"eager": affine_formula}
    if kernels.available(device):
        ops["fused"] = affine
    rows = [row for size in SIZES for row in _rows(ops, size, device, args.rounds)]
    notes = [
        "float32, scale `soft`, shift and raw as the two halves of one tensor.",
        "GB/s: what the op has to move at least, by its time; % of copy: of a copy of z, same run.",
    ]
    if "fused" not in ops:
        notes.append("No compiled kernels: see `flowkit env`, and `flowkit build-kernels`.")
    return Report(f"op-{device.type}", "The affine op", rows, notes)


def _rows(
    ops: dict[str, Op], size: tuple[int, ...], device: torch.device, rounds: int
) -> list[dict[str, Cell]]:
    generator = torch.Generator().manual_seed(0)
    b, c, h, w = size
    z, by_out = (torch.randn(size, generator=generator).to(device) for _ in range(2))
    packed = torch.randn(b, 2 * c, h, w, generator=generator).to(device)
    by_log_det = torch.ones(b, device=device)
    copy = torch.empty_like(z)

    def both(op: Op) -> object:
        inputs = [t.detach().requires_grad_() for t in (z, *packed.chunk(2, 1))]
        return torch.autograd.grad(op(*inputs), inputs, (by_out, by_log_det))

    def one_way(op: Op, inverse: bool) -> object:
        with torch.no_grad():
            return op(z, *packed.chunk(2, 1), inverse=inverse)

    def measure(function: Callable[[Op], object], direction: str, passes: int) -> list[dict[str, Cell]]:
        variants: dict[str, Callable[[], object]] = {name: partial(function, op) for name, op in ops.items()}
        timings = compare(
            {**variants, "copy": lambda: copy.copy_(z)}, baseline="eager", device=device, rounds=rounds
        )
        moved = z.numel() * z.element_size()
        fastest = 2 * moved / timings["copy"].seconds
        found: list[dict[str, Cell]] = []
        for variant in ops:
            timing = timings[variant]
            rate = passes * moved / timing.seconds
            found.append(
                {
                    "size": "x".join(map(str, size)),
                    "pass": direction,
                    "op": variant,
                    "ms": 1e3 * timing.seconds,
                    "spread %": 100 * timing.spread,
                    "times eager": timing.speedup,
                    "GB/s": rate / 1e9,
                    "% of copy": 100 * rate / fastest,
                }
            )
        return found

    return [
        *measure(lambda op: one_way(op, False), "forward", FORWARD),
        *measure(lambda op: one_way(op, True), "inverse", FORWARD),
        *measure(both, "forward + backward", FORWARD + BACKWARD),
    ]
