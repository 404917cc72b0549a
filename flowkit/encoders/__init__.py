"""Encoders: image -> pyramid of features. Importing this package registers them."""

from flowkit.encoders.base import Encoder
from flowkit.encoders.rows import RowStream
from flowkit.encoders.rrdb import RRDB
from flowkit.encoders.unet import UNet

__all__ = ["RRDB", "Encoder", "RowStream", "UNet"]
