"""Helpers of the tests of training."""

from __future__ import annotations

import json
from pathlib import Path

from flowkit.training.loop import Run


def steps(run: Run, n: int) -> list[float]:
    """Take n steps; the bits per dimension of each."""
    data = run.job.batches(run.progress.position, n)
    accumulate = run.options.accumulate
    return [run.advance([next(data) for _ in range(accumulate)]).bits for _ in range(n)]


def losses(out: Path) -> dict[int, float]:
    """Bits per dimension of each step of a run, as its log says."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = [(line["step"], line["bits_per_dim"]) for line in lines if "bits_per_dim" in line]
    assert len(dict(found)) == len(found)  # every step once
    return dict(found)
