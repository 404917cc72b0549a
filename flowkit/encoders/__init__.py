"""Encoders: image -> pyramid of features. Importing this package registers them."""

from flowkit.encoders.base import Encoder
from flowkit.encoders.none import NoFeatures
from flowkit.encoders.rrdb import RRDB
from flowkit.encoders.stacked import Stacked
from flowkit.encoders.streaming import RowStream
from flowkit.encoders.unet import UNet

__all__ = ["RRDB", "Encoder", "NoFeatures", "RowStream", "Stacked", "UNet"]
