"""Checks of layers and encoders of one's own against their contracts."""

from flowkit.testing.encoders import check_encoder
from flowkit.testing.layers import check_layer

__all__ = ["check_encoder", "check_layer"]
