from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from flowkit.bench import compiled
from flowkit.cli import main

SMALL = ["vars.steps=1", "vars.hidden=4", "encoder.widths=[4]", "encoder.contrast=[]"]


def test_each_variant_has_a_graph_of_its_own(tmp_path, monkeypatch, capfd):
    """With and without kernels: what torch.compile made of one must not be run for the other."""
    there, graphs, compile_ = [True], [], torch.compile

    @contextmanager
    def without():
        there[0] = False
        yield
        there[0] = True

    def backend(module, inputs):
        graphs.append(there[0])
        return module.forward

    fake = SimpleNamespace(available=lambda device: there[0], without=without)
    monkeypatch.setattr(compiled, "kernels", fake)
    monkeypatch.setattr(compiled, "no_compile", lambda device: None)
    monkeypatch.setattr(torch, "compile", lambda call, **options: compile_(call, backend=backend, **options))
    sets = [part for change in SMALL for part in ("--set", change)]
    command = ["bench", "compiled", "binarize", *sets, "--batch", "1", "--samples", "2"]
    assert main([*command, "--rounds", "1", "--out", str(tmp_path)]) == 0
    capfd.readouterr()
    assert graphs == [False, True, False, True]
    rows = json.loads((tmp_path / "compiled-cpu.json").read_text())["rows"]
    assert [row["variant"] for row in rows[:4]] == [
        "eager",
        "compiled",
        "eager, fused op",
        "compiled, fused op",
    ]
    assert {row["what"] for row in rows} == {"training step of 1", "2 samples"}
    assert all(row["s"] > 0 for row in rows)
    assert rows[0]["times as fast"] == pytest.approx(1)
