"""Whole pages: reading and writing files, tiling, sampling."""

from flowkit.images.picture import Picture
from flowkit.images.reader import read
from flowkit.pages.cleaning import CleanedPage, clean
from flowkit.pages.ink import binarize
from flowkit.pages.layout import Layout, read_layout
from flowkit.pages.page import Page
from flowkit.pages.review import Review
from flowkit.pages.upscaling import UpscaledPage, upscale

__all__ = [
    "CleanedPage",
    "Layout",
    "Page",
    "Picture",
    "Review",
    "UpscaledPage",
    "binarize",
    "clean",
    "read",
    "read_layout",
    "upscale",
]
