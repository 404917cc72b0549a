"""Whole pages: reading and writing files, tiling, sampling."""

from flowkit.images.picture import Picture
from flowkit.images.reader import read
from flowkit.pages.cleaning import CleanedPage, clean
from flowkit.pages.counts import Component, Counts, Spread, stroke_width
from flowkit.pages.ink import binarize
from flowkit.pages.layout import Layout, read_layout
from flowkit.pages.page import Page
from flowkit.pages.readings import Reading, Readings, VotedWord, read_words
from flowkit.pages.review import Review
from flowkit.pages.upscaling import UpscaledPage, upscale

__all__ = [
    "CleanedPage",
    "Component",
    "Counts",
    "Layout",
    "Page",
    "Picture",
    "Reading",
    "Readings",
    "Review",
    "Spread",
    "UpscaledPage",
    "VotedWord",
    "binarize",
    "clean",
    "read",
    "read_layout",
    "read_words",
    "stroke_width",
    "upscale",
]
