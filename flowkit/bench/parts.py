"""A model's time by the kind of operation, and how long a GPU waits for launches.

Read by PyTorch's profiler from a training step and from samples of one image. On CUDA the time is the
device's; whatever the wall clock has beyond it, the device stood idle for.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch.profiler import ProfilerActivity, profile

from flowkit.bench.model import pair, prepared
from flowkit.bench.options import add_recipes, add_sizes, autocast, numbers, table_name
from flowkit.bench.report import Report
from flowkit.recipe import read_recipe
from flowkit.tables import Cell

OTHER, IDLE = "elementwise and other", "idle"
# The first whose text is in an operator's name: a convolution's own copies count as convolution.
KINDS = (
    ("convolution", ("conv", "mkldnn", "cudnn")),
    ("affine op", ("flowkit::",)),
    ("matrix product", ("::mm", "::bmm", "::addmm", "::baddbmm", "::linalg", "::lu_", "::inverse")),
    ("copy", ("::copy_", "::clone", "::contiguous", "::cat", "::_to_copy", "::constant_pad", "::index")),
    ("sum", ("::sum", "::mean", "::norm", "::var", "::batch_norm", "::native_batch_norm", "::logsumexp")),
)

Row = dict[str, Cell]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the table."""
    add_recipes(parser)
    add_sizes(parser)
    parser.set_defaults(rounds=3)


def run(args: argparse.Namespace) -> Report:
    """Profile each recipe."""
    device = torch.device(args.device)
    rows: list[Row] = []
    for name in args.recipes:
        for what, call in _calls(name, args, device):
            rows += [
                {"recipe": read_recipe(name).name, "what": what, **row}
                for row in _profiled(call, args.rounds, device)
            ]
    notes = [
        "ms: per call, of operators of that kind, those within others apart. The profiler slows short "
        f"operators down, so shares say more than milliseconds. {numbers(args)}, encoder frozen.",
    ]
    if device.type == "cuda":
        notes.append(f"{IDLE}: wall time in which the device had nothing to do; launches: of all kernels.")
    return Report(table_name("parts", args), "Where the time goes", rows, notes)


def _calls(
    name: str, args: argparse.Namespace, device: torch.device
) -> Iterable[tuple[str, Callable[[], object]]]:
    flow = prepared(name, args.set, device)
    image, y = pair(flow, args.batch, device)
    low = autocast(args)

    def step() -> None:
        with low:
            loss = -flow(image).log_prob(y).mean()
        torch.autograd.backward(loss)

    def sample() -> None:
        with torch.no_grad(), low:
            flow(image[:1]).sample(args.samples, temperature=0.8)

    yield f"training step of {args.batch}", step
    flow.eval()
    yield f"{args.samples} samples", sample


def _profiled(call: Callable[[], object], rounds: int, device: torch.device) -> list[Row]:
    cuda = device.type == "cuda"
    call()
    _wait(device)
    begin = time.perf_counter()
    for _ in range(rounds):
        call()
    _wait(device)
    wall = (time.perf_counter() - begin) / rounds
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        for _ in range(rounds):
            call()
        _wait(device)
    events = profiler.key_averages()
    took: dict[str, float] = defaultdict(float)
    launches = 0
    for event in events:
        if event.device_type.name != "CPU":  # a kernel: its time stands with the operator that launched it
            launches += event.count
        elif "::" in event.key:
            spent = event.self_device_time_total if cuda else event.self_cpu_time_total
            took[kind_of(event.key)] += spent / 1e6 / rounds
    if cuda:
        took[IDLE] = max(0.0, wall - sum(took.values()))
    total = sum(took.values())
    rows: list[Row] = [
        {"kind": kind, "ms": 1000 * seconds, "share %": 100 * seconds / total}
        for kind, seconds in sorted(took.items(), key=lambda item: -item[1])
        if seconds
    ]
    for row in rows:
        if row["kind"] == IDLE:
            row["launches"] = launches // rounds
    return rows


def kind_of(operator: str) -> str:
    """Return the kind of an operator, by its name in the profiler.

    >>> kind_of("aten::mkldnn_convolution"), kind_of("flowkit::affine"), kind_of("aten::mul")
    ('convolution', 'affine op', 'elementwise and other')
    """
    return next((kind for kind, names in KINDS if any(name in operator for name in names)), OTHER)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
