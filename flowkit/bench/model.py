"""Whole models: samples, densities, training steps and memory, beside the naive way of published code.

Sizes are the papers': targets of 160 x 160. The encoder is frozen, as SRFlow's is for the first half of its
training; weights are those of an untrained model after its actnorms have seen a batch.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from flowkit.bench.memory import cuda_peak, process_peak, saved_for_backward
from flowkit.bench.naive import NaiveFlow
from flowkit.bench.options import add_recipes, autocast, count, numbers, table_name
from flowkit.bench.report import Report
from flowkit.bench.timing import compare
from flowkit.flow import ConditionalFlow
from flowkit.flow.cuda_graphs import CapturedSampler, Graph
from flowkit.flow.passes import to_latents
from flowkit.layers import FlowLayer
from flowkit.layers.network import condition
from flowkit.recipe import build, read_recipe
from flowkit.tables import Cell

SIDE = 160  # of a target
DEPTH_BATCH = 4
MIB = 2**20
PARTS = ("sampling", "training", "depth")
NAIVE, KEEPING, RECOMPUTING, CHECKPOINT = "naive", "flowkit, keeping all", "flowkit", "torch checkpoint"
CAPTURED = "flowkit, CUDA graph"

Row = dict[str, Cell]
Step = Callable[[], object]


class Losses(NamedTuple):
    """Forward passes of one model on one batch.

    Attributes:
        variants: by name.
        given: the tensors that there are before a pass begins.
    """

    variants: dict[str, Callable[[], Tensor]]
    given: list[Tensor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the table."""
    add_recipes(parser)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="measurements to take (default: all)"
    )
    for name, default, what in (
        ("samples", [1, 4, 16], "samples of one image"),
        ("batch", [4, 16], "pairs in a training step"),
        ("depths", [8, 16, 32, 64], "values of vars.steps, for memory"),
    ):
        parser.add_argument(
            f"--{name}",
            nargs="+",
            type=count,
            default=default,
            metavar="N",
            help=f"{what} (default: {' '.join(map(str, default))})",
        )
    parser.set_defaults(rounds=5)


def run(args: argparse.Namespace) -> Report:
    """Measure each recipe."""
    device = torch.device(args.device)
    rows: list[Row] = []
    for name in args.recipes:
        if "sampling" in args.parts:
            rows += _sampling(name, args, device)
        if "training" in args.parts:
            for batch in args.batch:
                rows += _training(name, args, batch)
        if "depth" in args.parts:
            rows += [_depth(name, args, steps) for steps in args.depths]
    notes = [
        f"Targets of {SIDE} x {SIDE}, {numbers(args)}, encoder frozen. naive: all that depends on the image "
        "is computed in every call, from concatenations of latents and features, and every 1x1 convolution "
        "is inverted. CUDA graph: recorded once, then launched as a whole; a training step's keeps all.",
        "kept MiB: what autograd keeps between the passes, parameters apart. peak MiB: of a process that "
        "takes one step, above what it had when the model stood; on CUDA, of the allocator.",
    ]
    return Report(table_name("model", args), "Whole models", rows, notes)


def _sampling(name: str, args: argparse.Namespace, device: torch.device) -> list[Row]:
    flow = prepared(name, args.set, device).eval()
    naive = NaiveFlow(flow)
    image, y = pair(flow, 1, device)
    rows = []
    with torch.no_grad(), autocast(args):
        for n in args.samples:
            z = [
                [0.8 * torch.randn(1, *shape, device=device) for shape in flow(image).latent_shapes]
                for _ in range(n)
            ]

            def ours(n: int = n) -> object:
                return flow(image).sample(n, temperature=0.8)

            def theirs(z: Sequence[Sequence[Tensor]] = z) -> object:
                return [naive.decode(image, latents) for latents in z]

            variants: dict[str, Step] = {NAIVE: theirs, RECOMPUTING: ours}
            if device.type == "cuda":
                draw = CapturedSampler(flow, image, samples=n)
                variants[CAPTURED] = partial(draw, image, temperature=0.8)
            what = f"{n} sample{'s' * (n > 1)}"
            rows += timed(name, what, variants, args.rounds, device)
        scored: dict[str, Step] = {
            NAIVE: lambda: naive.log_prob(image, y),
            RECOMPUTING: lambda: flow(image).log_prob(y),
        }
        rows += timed(name, "log-likelihood", scored, args.rounds, device)
    return rows


def _training(name: str, args: argparse.Namespace, batch: int) -> list[Row]:
    device = torch.device(args.device)
    losses = _losses(name, args, batch)
    calls: dict[str, Step] = {variant: partial(_step, loss) for variant, loss in losses.variants.items()}
    if device.type == "cuda":
        step = calls[KEEPING]
        recorded = Graph(lambda image: step(), losses.given[0])
        calls[CAPTURED] = partial(recorded, losses.given[0])
    rows = timed(name, f"training step of {batch}", calls, args.rounds, device, baseline=KEEPING)
    standing = 0
    if device.type != "cuda":
        standing = process_peak(_train_once, name, args, batch, NAIVE, 0).peak
    for row in rows:
        variant = str(row["variant"])
        if variant == CAPTURED:
            continue
        row["kept MiB"] = _kept(losses, variant)
        if device.type == "cuda":
            row["peak MiB"] = cuda_peak(partial(_step, losses.variants[variant]), device) / MIB
        else:
            stepped = process_peak(_train_once, name, args, batch, variant, 1).peak
            row["peak MiB"] = (stepped - standing) / MIB
    return rows


def _depth(name: str, args: argparse.Namespace, steps: int) -> Row:
    losses = _losses(name, args, DEPTH_BATCH, f"vars.steps={steps}")
    return {
        "recipe": read_recipe(name).name,
        "what": f"training step of {DEPTH_BATCH}, K = {steps}",
        "variant": RECOMPUTING,
        "kept MiB": _kept(losses, RECOMPUTING),
    }


def timed(
    name: str,
    what: str,
    variants: Mapping[str, Step],
    rounds: int,
    device: torch.device,
    baseline: str = NAIVE,
) -> list[Row]:
    """Return a row for each variant of a recipe's model, measured in turns."""
    timings = compare(variants, baseline=baseline, device=device, rounds=rounds)
    return [
        {
            "recipe": read_recipe(name).name,
            "what": what,
            "variant": variant,
            "s": timing.seconds,
            "spread %": 100 * timing.spread,
            "times as fast": timing.speedup,
        }
        for variant, timing in timings.items()
    ]


def prepared(name: str, overrides: Sequence[str], device: torch.device) -> ConditionalFlow:
    """Return a recipe's model in training mode, its encoder frozen, its actnorms initialised."""
    torch.manual_seed(0)
    flow = build(name, overrides=overrides).to(device).train()
    flow.encoder.requires_grad_(False)
    image, y = pair(flow, 2, device)
    with torch.no_grad():
        flow(image).log_prob(y)  # sets the actnorms
    return flow


def pair(flow: ConditionalFlow, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Make images and targets of the model's kinds, targets `SIDE` x `SIDE`."""
    generator = torch.Generator().manual_seed(0)
    side = SIDE // flow.scale
    image = torch.rand(batch, flow.in_channels, side, side, generator=generator)
    y = torch.rand(batch, flow.target.channels, SIDE, SIDE, generator=generator)
    return image.to(device), y.round().to(device)


def _losses(name: str, args: argparse.Namespace, batch: int, *overrides: str) -> Losses:
    device = torch.device(args.device)
    flow = prepared(name, [*args.set, *overrides], device)
    naive = NaiveFlow(flow)
    image, y = pair(flow, batch, device)

    def ours(recompute: bool) -> Tensor:
        flow.recompute = recompute
        loss: Tensor = -flow(image).log_prob(y).mean()
        return loss

    variants = {
        NAIVE: lambda: -naive.log_prob(image, y).mean(),
        KEEPING: lambda: ours(False),
        RECOMPUTING: lambda: ours(True),
        CHECKPOINT: lambda: -_checkpointed(flow, image, y).mean(),
    }
    precise = {variant: autocast(args)(loss) for variant, loss in variants.items()}
    return Losses(precise, [image, y, *flow.parameters(), *naive.parameters()])


def _checkpointed(flow: ConditionalFlow, image: Tensor, y: Tensor) -> Tensor:
    """Compute log p, up to a constant, with each step of the flow in `torch.utils.checkpoint`."""
    features = flow.encoder.features(image)
    v, log_q = flow.target.dequantise(y, None)

    def run(step: Sequence[FlowLayer], v: Tensor) -> tuple[Tensor, ...]:
        contexts = (c and condition(layer, features[c.stride]) for layer in step for c in (layer.context,))
        return to_latents(step, contexts, v)

    parts: list[Tensor] = [-log_q]
    for step in flow.steps():
        v, log_det, *left = checkpoint(partial(run, step), v, use_reentrant=False)
        parts += [log_det, *(-0.5 * z.square().flatten(1).sum(1) for z in left)]
    return torch.stack([*parts, -0.5 * v.square().flatten(1).sum(1)]).sum(0)


def _step(loss: Callable[[], Tensor]) -> None:
    torch.autograd.backward(loss())


def _kept(losses: Losses, variant: str) -> float:
    return saved_for_backward(losses.variants[variant], exclude=losses.given) / MIB


def _train_once(name: str, args: argparse.Namespace, batch: int, variant: str, steps: int) -> None:
    # torch imports it, and all of sympy, in the first backward pass that is given gradients
    importlib.import_module("torch.fx.experimental.symbolic_shapes")
    loss = _losses(name, args, batch).variants[variant]
    for _ in range(steps):
        _step(loss)
