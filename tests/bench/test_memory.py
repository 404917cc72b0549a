from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from flowkit.bench.memory import process_peak, saved_for_backward
from flowkit.errors import FlowkitError

MIB = 2**20


def fill(mebibytes):
    torch.ones(mebibytes * MIB, dtype=torch.uint8)


def fail():
    raise SystemExit(3)


def test_a_storage_counts_once_and_whole():
    x = torch.randn(4, 5, 6, requires_grad=True)
    w = torch.randn(5, 5, requires_grad=True)
    kept = saved_for_backward(lambda: (x[:, :2] * x[:, 2:4]).exp(), exclude=[w])
    assert kept == 4 * (4 * 5 * 6 + 4 * 2 * 6)


def test_what_a_checkpoint_recomputes_does_not_count():
    x = torch.randn(10, 10, requires_grad=True)
    plain = saved_for_backward(lambda: x.sin().cos().tan())
    again = saved_for_backward(lambda: checkpoint(lambda t: t.sin().cos().tan(), x, use_reentrant=False))
    assert plain == 3 * 400
    assert again == 400


def test_the_peak_of_a_process_of_its_own():
    big = torch.ones(1200 * MIB, dtype=torch.uint8)  # ours, which must not be blamed on the child
    before, peak = process_peak(fill, 200)
    del big
    assert 200 * MIB <= peak - before < 260 * MIB
    assert peak < 1200 * MIB


def test_a_process_that_fails_is_an_error():
    with pytest.raises(FlowkitError, match=r"fail failed in a process of its own \(exit code 3\)"):
        process_peak(fail)
