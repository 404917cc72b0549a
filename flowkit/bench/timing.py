"""Timings that are robust on a busy machine: variants take turns, and medians are compared.

Every round measures all variants one after another, and every other round in the opposite order, so that a
slow minute of the machine meets all of them alike. A ratio is taken within each round before its median is.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch

from flowkit.flow import unchecked

LEAST = 0.01  # seconds a measurement lasts at least: a thousand times what a clock and an event resolve
MOST_CALLS = 100_000


class Timing(NamedTuple):
    """The time that one variant took."""

    seconds: float
    """Per call: the median over the rounds."""
    spread: float
    """Distance of the quartiles, relative to the median: smaller differences mean nothing."""
    speedup: float
    """Factor over the baseline: the median of the rounds' own ratios."""


def compare(
    variants: Mapping[str, Callable[[], object]],
    *,
    baseline: str | None = None,
    device: torch.device | str = "cpu",
    rounds: int = 15,
    least: float = LEAST,
) -> dict[str, Timing]:
    """Measure several callables that do the same thing, in turns.

    Each is called once to warm up (compilation, allocations, caches) and once more to see how many calls fill
    `least` seconds. CUDA work is timed by events on the current stream: what the device needed, and the gaps
    in which it waited for its launches.

    Args:
        variants: by name; results are dropped.
        baseline: whose speedup is 1; the first where none is named.
        device: where the variants compute.
        rounds: measurements of each variant.
        least: seconds that one measurement lasts at least.

    Raises:
        ValueError: no variants, an unknown baseline, or no rounds.
    """
    names = list(variants)
    if not names or rounds < 1:
        raise ValueError(f"expected variants and 1 round or more, got {names} and {rounds}")
    reference = names[0] if baseline is None else baseline
    if reference not in variants:
        raise ValueError(f"baseline must be one of {', '.join(names)}; got {reference!r}")
    device = torch.device(device)
    measured: dict[str, list[float]] = {name: [] for name in names}
    with unchecked(), _undisturbed():  # as a loop over good data would run
        calls = {name: _calls(variants[name], device, least) for name in names}
        for turn in range(rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                measured[name].append(_measure(variants[name], calls[name], device))
    return {name: _summary(times, measured[reference]) for name, times in measured.items()}


def _calls(function: Callable[[], object], device: torch.device, least: float) -> int:
    function()
    once = _measure(function, 1, device)
    return max(1, min(MOST_CALLS, round(least / max(once, 1e-9))))


def _measure(function: Callable[[], object], calls: int, device: torch.device) -> float:
    if device.type == "cuda":
        return _measure_cuda(function, calls, device)
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def _measure_cuda(function: Callable[[], object], calls: int, device: torch.device) -> float:
    with torch.cuda.device(device):
        # torch leaves this class without annotations
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        start.record()
        for _ in range(calls):
            function()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000 / calls


def _summary(times: list[float], reference: list[float]) -> Timing:
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, method="inclusive") if len(times) > 1 else [median] * 3
    speedup = statistics.median(r / t for r, t in zip(reference, times, strict=True))
    return Timing(median, (high - low) / median, speedup)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Switch the garbage collector off, which would delay one variant at random."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
