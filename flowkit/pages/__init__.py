"""Whole pages: reading and writing files, tiling, sampling."""

from flowkit.pages.binary import Page, binarize
from flowkit.pages.reading import Picture, read

__all__ = ["Page", "Picture", "binarize", "read"]
