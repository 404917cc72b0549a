"""Whole pages: reading and writing files, tiling, sampling."""

from flowkit.pages.binary import binarize
from flowkit.pages.page import Page
from flowkit.pages.reading import Picture, read
from flowkit.pages.review import Review
from flowkit.pages.upscaling import UpscaledPage, upscale

__all__ = ["Page", "Picture", "Review", "UpscaledPage", "binarize", "read", "upscale"]
