"""The mark of constants is the one that `torch.compile` reads."""

from __future__ import annotations

import torch

from flowkit.ops import affine, kernels
from flowkit.ops.tracing import assume_constant


def test_the_mark_is_that_of_torch():
    def ours():
        return 1

    def theirs():
        return 1

    assert assume_constant(ours) is ours
    torch.compiler.assume_constant_result(theirs)
    assert vars(ours) == vars(theirs) != {}


def test_what_cannot_be_traced_is_a_constant_to_the_compiler(monkeypatch):
    """Both questions of the op are answered while the graph is traced, once, and break no graph."""
    asked = []

    def active(kind):
        asked.append(kind)
        return False

    monkeypatch.setattr(kernels, "_active", assume_constant(active))
    double = torch.compile(lambda z, raw: affine(z, raw, raw)[0], backend="eager", fullgraph=True)
    z, raw = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(double(z, raw), affine(z, raw, raw)[0])
    double(z + 1, raw)
    assert asked == ["cpu", "cpu"]  # once by the compiler, once by the comparison
