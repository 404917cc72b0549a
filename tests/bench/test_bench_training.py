from __future__ import annotations

import json

from flowkit.bench import training
from flowkit.cli import main
from flowkit.training.job import Job

SMALL = ["vars.steps=1", "vars.hidden=4", "encoder.widths=[4,4]", "train.patch=32", "train.accumulate=2"]


def test_waiting_is_what_the_clock_says_between_batches(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "PAGES", {"type": "drawn", "pages": 1, "width": 64, "height": 48})
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    take, batches = Job.take, Job.batches

    def timed_take(self, step, position, passes):
        now[0] += 3.0
        return take(self, step, position, passes)

    def timed_batches(self, position, steps):
        for batch in batches(self, position, steps):
            now[0] += 0.5
            yield batch

    monkeypatch.setattr(Job, "take", timed_take)
    monkeypatch.setattr(Job, "batches", timed_batches)
    sets = [part for change in SMALL for part in ("--set", change)]
    command = ["bench", "training", *sets, "--workers", "0", "--rounds", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "binarize" in capsys.readouterr().out
    [row] = json.loads((tmp_path / "training-cpu.json").read_text())["rows"]
    assert (row["s per step"], row["waiting"], row["patches/s"]) == (4.0, 0.25, 1.0)
    assert (row["batch"], row["patch"], row["workers"]) == (4, 32, 0)
