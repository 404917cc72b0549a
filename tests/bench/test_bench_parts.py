from __future__ import annotations

import json

import pytest

from flowkit.bench.parts import KINDS, OTHER, kind_of
from flowkit.cli import main

SMALL = ["vars.steps=2", "vars.hidden=8", "encoder.widths=[8,8]", "encoder.contrast=[]"]


def test_shares_are_of_the_whole_and_convolutions_have_the_most(tmp_path, capfd):
    sets = [part for change in SMALL for part in ("--set", change)]
    command = [
        "bench",
        "parts",
        "binarize",
        *sets,
        "--batch",
        "2",
        "--samples",
        "2",
        "--rounds",
        "1",
    ]
    assert main([*command, "--out", str(tmp_path)]) == 0
    capfd.readouterr()
    report = json.loads((tmp_path / "parts-cpu.json").read_text())
    kinds = {kind for kind, _ in KINDS} | {OTHER}
    for what in ("training step of 2", "2 samples"):
        rows = [row for row in report["rows"] if row["what"] == what]
        assert sum(row["share %"] for row in rows) == pytest.approx(100)
        assert {row["kind"] for row in rows} <= kinds
        assert {"convolution", "matrix product", "copy"} <= {row["kind"] for row in rows}
        assert all(row["ms"] > 0 for row in rows)


def test_the_op_is_told_from_the_rest_with_its_gradient():
    assert kind_of("flowkit::affine_packed") == "affine op"
    assert kind_of("aten::convolution_backward") == "convolution"
    assert kind_of("aten::add_") == OTHER


@pytest.mark.parametrize("table", ["model", "compiled", "parts"])
@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_numbers_of_samples_are_counts(table, value, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", table, "--samples", value])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "--samples" in said
    assert "Traceback" not in said
