"""Options that several of nflows' splines have."""

from __future__ import annotations

from typing import Literal

from flowkit.interop.adapter import Typed

BINS = {"num_bins": 10}
TAILS = {"tails": Typed(Literal["linear"] | None, "linear"), "tail_bound": 1.0}
WIDTHS = {"min_bin_width": 1e-3, "min_bin_height": 1e-3}
DERIVATIVE = {"min_derivative": 1e-3}
