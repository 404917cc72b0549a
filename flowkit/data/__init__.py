"""Training data: paired pages, patches of them, and pages that flowkit draws itself."""

from flowkit.data.paired import Page, find_images, find_pairs, load_pages
from flowkit.data.patches import BinarizationPatches, SuperResolutionPatches

__all__ = ["BinarizationPatches", "Page", "SuperResolutionPatches", "find_images", "find_pairs", "load_pages"]
