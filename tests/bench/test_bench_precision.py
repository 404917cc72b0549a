from __future__ import annotations

import importlib
import json

import pytest
import torch

from flowkit.cli import main

SMALL = ["vars.steps=1", "vars.hidden=4", "encoder.widths=[4]", "encoder.contrast=[]"]
TABLES = {
    "model": ["--parts", "sampling", "depth", "--samples", "2", "--depths", "2"],
    "compiled": ["--samples", "2", "--batch", "1"],
    "parts": ["--samples", "2", "--batch", "1"],
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("table", TABLES)
def test_what_reads_the_image_has_the_precision_that_was_asked_for(
    table, precision, tmp_path, monkeypatch, capfd
):
    module = importlib.import_module(f"flowkit.bench.{table}")
    seen, prepared = set(), module.prepared

    def watched(*args):
        flow = prepared(*args)
        for part in flow.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.register_forward_hook(lambda _, inputs, output: seen.add((flow.training, output.dtype)))
        return flow

    monkeypatch.setattr(module, "prepared", watched)
    monkeypatch.setattr("flowkit.bench.compiled.no_compile", lambda device: "not here")
    sets = [part for change in SMALL for part in ("--set", change)]
    command = ["bench", table, "binarize", *sets, *TABLES[table], "--rounds", "1"]
    assert main([*command, "--precision", precision, "--out", str(tmp_path)]) == 0
    capfd.readouterr()
    asked = {(training, getattr(torch, precision)) for training in (False, True)}
    assert asked <= seen
    assert {kind for _, kind in seen - asked} <= {torch.float32}  # of what sees the latents
    end = "" if precision == "float32" else "-bfloat16"
    report = json.loads((tmp_path / f"{table}-cpu{end}.json").read_text())
    assert any(precision in note for note in report["notes"])
