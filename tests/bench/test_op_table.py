from __future__ import annotations

import argparse

import pytest

from flowkit.bench import op
from flowkit.ops import kernels


@pytest.mark.parametrize("built", [False, True])
def test_a_row_for_each_size_pass_and_path(monkeypatch, built):
    """With kernels that are said to be there but are not, the same op is measured twice."""
    monkeypatch.setattr(op, "SIZES", ((1, 2, 3, 5), (2, 3, 4, 4)))
    monkeypatch.setattr(op, "affine", op.affine_formula)
    monkeypatch.setattr(kernels, "available", lambda device: built)
    report = op.run(argparse.Namespace(device="cpu", rounds=1))
    paths = ["eager", "fused"] if built else ["eager"]
    passes = ["forward", "inverse", "forward + backward"]
    assert [(row["size"], row["pass"], row["op"]) for row in report.rows] == [
        (size, name, path) for size in ("1x2x3x5", "2x3x4x4") for name in passes for path in paths
    ]
    assert any("build-kernels" in note for note in report.notes) is not built
