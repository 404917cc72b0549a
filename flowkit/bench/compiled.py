"""Whole models through `torch.compile`, with the affine op in plain torch and in compiled kernels.

Weights, data and the encoder's freezing are those of the table `model`. Compiling a deep model takes minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from flowkit.bench.model import Row, pair, prepared, timed
from flowkit.bench.op import no_compile
from flowkit.bench.options import add_recipes, add_sizes, autocast, numbers, table_name
from flowkit.bench.report import Report
from flowkit.ops import kernels

EAGER = "eager"

Pass = Callable[[bool], Tensor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the table."""
    add_recipes(parser)
    add_sizes(parser)
    parser.set_defaults(rounds=5)


def run(args: argparse.Namespace) -> Report:
    """Measure each recipe.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and there are no compiled kernels.
    """
    device = torch.device(args.device)
    notes = [
        f"{numbers(args)}; all is kept between the passes. "
        "The op: the affine op of injectors, couplings and splits."
    ]
    if why := no_compile(device):
        notes.append(f"No torch.compile: {why}.")
    if not kernels.available(device):
        notes.append("No compiled kernels: see `flowkit env`, and `flowkit build-kernels`.")
    rows = [row for name in args.recipes for row in _rows(name, args, device, compiles=why is None)]
    return Report(table_name("compiled", args), "Whole models, compiled", rows, notes)


def _rows(name: str, args: argparse.Namespace, device: torch.device, *, compiles: bool) -> list[Row]:
    flow = prepared(name, args.set, device)
    flow.recompute = False
    image, y = pair(flow, args.batch, device)

    # Whether there are kernels is a constant to torch.compile; by this argument it keeps a graph for either.
    def forward(fused: bool) -> Tensor:
        assert fused == kernels.available(device)
        loss: Tensor = -flow(image).log_prob(y).mean()
        return loss

    def sample(fused: bool) -> Tensor:
        assert fused == kernels.available(device)
        with torch.no_grad():
            drawn: Tensor = flow(image[:1]).sample(args.samples, temperature=0.8)
        return drawn

    rows: list[Row] = []
    for what, pass_, training in (
        (f"training step of {args.batch}", forward, True),
        (f"{args.samples} samples", sample, False),
    ):
        flow.train(training)
        calls = {
            by: partial(_call, run, fused, autocast(args))
            for by, run, fused in _variants(pass_, device, compiles)
        }
        rows += timed(name, what, calls, args.rounds, device, baseline=EAGER)
    return rows


def _variants(pass_: Pass, device: torch.device, compiles: bool) -> Iterator[tuple[str, Pass, bool]]:
    for fused in (False, True) if kernels.available(device) else (False,):
        and_op = ", fused op" * fused
        yield EAGER + and_op, pass_, fused
        if compiles:
            yield "compiled" + and_op, torch.compile(pass_, dynamic=False), fused


def _call(pass_: Pass, fused: bool, precision: torch.autocast) -> None:
    with nullcontext() if fused else kernels.without():
        with precision:
            result = pass_(fused)
        if result.requires_grad:
            torch.autograd.backward(result)
