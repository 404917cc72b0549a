"""Training data: sources of pages, samples of them, and pages that flowkit draws itself."""

from flowkit.data.assemble import training_set
from flowkit.data.find import find_images, find_pairs
from flowkit.data.paired import Page, load_pages
from flowkit.data.sheets import Pair, Task
from flowkit.data.sources import Source
from flowkit.data.training_set import TrainingSet

__all__ = [
    "Page",
    "Pair",
    "Source",
    "Task",
    "TrainingSet",
    "find_images",
    "find_pairs",
    "load_pages",
    "training_set",
]
