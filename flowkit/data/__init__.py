"""Training data: sources of pages, samples of them, and pages that flowkit draws itself."""

from flowkit.data.build import training_set
from flowkit.data.dataset import TrainingSet
from flowkit.data.find import find_images, find_pairs
from flowkit.data.labelled_pages import Page, load_pages
from flowkit.data.sources import Found, Source
from flowkit.data.tasks import Endless, Pair, Sheet, Task

__all__ = [
    "Endless",
    "Found",
    "Page",
    "Pair",
    "Sheet",
    "Source",
    "Task",
    "TrainingSet",
    "find_images",
    "find_pairs",
    "load_pages",
    "training_set",
]
