"""Sources of training pages, registered so that a data file can name them."""

from flowkit.data.sources import drawn, paired, super_resolution, word_images  # noqa: F401  # register
from flowkit.data.sources.base import Found, Source

__all__ = ["Found", "Source"]
