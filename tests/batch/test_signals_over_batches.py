"""Batches that signals end at any moment, and that go on: the same files as without."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from scans import report, tree


@pytest.mark.slow
def test_batches_go_on_after_signals(
    folder: Path,
    binarize: Callable[..., int],
    interrupted: Callable[..., float],
    fuzzed: Callable[[int], range],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--format", "tif", "--probability", "maps", "--samples", "2", "--html"]
    assert binarize("scans", "-o", "whole", *options[:2], *options[4:]) == 0
    seconds = interrupted(lambda: binarize("scans", "-o", "first", *options))
    whole = tree("first")
    assert whole == tree("whole")
    met = 0
    for number in fuzzed(10):
        rng = random.Random(f"batch {number}")
        for place in ("out", "maps"):
            shutil.rmtree(place, ignore_errors=True)
        kind = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        interrupted(lambda: binarize("scans", "-o", "out", *options), kind, max(1e-3, rng.random() * seconds))
        done = len(report("out")) if Path("out/report.jsonl").exists() else 0
        assert binarize("scans", "-o", "out", *options) == 0, (number, kind)
        assert tree("out") == whole, (number, kind)
        assert sorted(Path("out").rglob(".*")) == [], (number, kind)
        met += 0 < done < len(report("out"))
    print(f"{len(fuzzed(10))} signals, {met} of them between the first page and the last")
