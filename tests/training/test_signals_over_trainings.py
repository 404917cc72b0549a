"""Trainings that signals end at any moment, and that go on: the same losses and weights as without."""

from __future__ import annotations

import random
import shutil
import signal

import pytest
from running import losses

from flowkit.training.state import MODEL, checkpoints

OFTEN = {"train.save_every": 2, "train.steps": 12}


@pytest.mark.slow
def test_trainings_go_on_after_signals(run, interrupted, fuzzed, tmp_path):
    whole = run(OFTEN, out="whole")
    seconds = interrupted(lambda: run(OFTEN, out="first").go())
    whole.go()
    model = (tmp_path / "first" / MODEL).read_bytes()
    assert model == (tmp_path / "whole" / MODEL).read_bytes()
    met, out = 0, tmp_path / "run"
    for number in fuzzed(20):
        rng = random.Random(f"training {number}")
        shutil.rmtree(out, ignore_errors=True)
        kind = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        interrupted(lambda: run(OFTEN).go(), kind, max(1e-3, rng.random() * seconds))
        begun = bool(checkpoints(out))
        resumed = run(OFTEN, resume=begun)
        met += 0 < resumed.progress.step < OFTEN["train.steps"]
        resumed.go()
        assert losses(out) == losses(whole.out), (number, kind)
        assert (out / MODEL).read_bytes() == model, (number, kind)
        assert [path.name for path in out.rglob(".*")] == [], (number, kind)
    print(f"{len(fuzzed(20))} signals, {met} of them between the first checkpoint and the last")
