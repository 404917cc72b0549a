from __future__ import annotations

import argparse

import pytest
import torch

from flowkit.bench import op
from flowkit.bench.op import Case
from flowkit.ops import kernels


@pytest.fixture
def small(monkeypatch):
    """Little to measure; and torch.compile, which is torch's to test, does nothing."""
    cases = (Case((1, 2, 3, 5)), Case((2, 3, 4, 4), torch.bfloat16, torch.channels_last))
    monkeypatch.setattr(op, "CASES", cases)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    monkeypatch.setattr(op, "affine_packed", op.formula)


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("why", [None, "no C++ compiler"])
def test_a_row_for_each_case_pass_and_path(small, monkeypatch, built, why):
    """With kernels that are said to be there but are not, the same op is measured twice."""
    monkeypatch.setattr(kernels, "available", lambda device: built)
    monkeypatch.setattr(op, "no_compile", lambda device: why)
    report = op.run(argparse.Namespace(device="cpu", rounds=1))
    paths = ["eager", *([] if why else ["compile"]), *(["fused"] if built else [])]
    passes = ["forward", "inverse", "forward + backward"]
    cases = [("1x2x3x5", "float32", "NCHW"), ("2x3x4x4", "bfloat16", "NHWC")]
    assert [(row["size"], row["type"], row["layout"], row["pass"], row["op"]) for row in report.rows] == [
        (*case, name, path) for case in cases for name in passes for path in paths
    ]
    assert all((row["times compile"] is None) is bool(why) for row in report.rows)
    assert any("build-kernels" in note for note in report.notes) is not built
    assert any("no C++ compiler" in note for note in report.notes) is bool(why)
