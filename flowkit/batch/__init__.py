"""Batches of pages: from files to files, with a report by which a run that was interrupted goes on."""

from flowkit.batch.clean_task import Clean
from flowkit.batch.job import BatchJob
from flowkit.batch.loop import Run, run
from flowkit.batch.record import Record, WorstTile, WrittenFile
from flowkit.batch.remote import FsspecStorage
from flowkit.batch.storage import Storage
from flowkit.batch.tasks import Binarize, Task
from flowkit.batch.upscale_task import Upscale
from flowkit.pages.counts import Spread

__all__ = [
    "BatchJob",
    "Binarize",
    "Clean",
    "FsspecStorage",
    "Record",
    "Run",
    "Spread",
    "Storage",
    "Task",
    "Upscale",
    "WorstTile",
    "WrittenFile",
    "run",
]
