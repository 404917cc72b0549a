"""The affine op that the injector, the coupling and the split share, and its scale maps."""

from flowkit.ops.affine import affine, affine_packed
from flowkit.ops.scale import SCALES, log_scale

__all__ = ["SCALES", "affine", "affine_packed", "log_scale"]
