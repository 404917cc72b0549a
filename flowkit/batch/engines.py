"""The engines of a batch: this process, others on this machine, or a cluster."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from flowkit.batch import processes, ray
from flowkit.batch.job import BatchJob
from flowkit.batch.page_work import PageWork, TaskOnPages
from flowkit.batch.pending import WorkThrough
from flowkit.batch.storage import Staging
from flowkit.batch.tasks import Progress, Task
from flowkit.flow import ConditionalFlow
from flowkit.malloc import keep_freed_memory
from flowkit.plugins import import_modules


def engine(job: BatchJob, flow: ConditionalFlow, staging: Staging, progress: Progress) -> WorkThrough:
    """Return what does the pages of a batch.

    Args:
        job: the batch, with a number of jobs.
        flow: its model, for pages that are done in this process.
        staging: how the files of a page come to the process that works on it.
        progress: told how far the page is, where one is worked on at a time, in this process.
    """
    assert job.jobs != "auto"  # see `flowkit.batch.jobs`
    if job.engine == "local" and job.jobs == 1:
        page = TaskOnPages(job.task, flow, staging)
        return lambda sheets: ((sheet, page(sheet, progress)) for sheet in sheets)
    threads = max(1, torch.get_num_threads() // job.jobs)
    modules = [str(Path(name).resolve()) if name.endswith(".py") else name for name in job.modules]
    start = functools.partial(_start, job.task.located(), tuple(modules), threads, staging)
    if job.engine == "local":
        return functools.partial(processes.work_through, start=start, jobs=job.jobs)
    return functools.partial(ray.work_through, start=start, jobs=job.jobs, threads=threads)


def _start(task: Task, modules: tuple[str, ...], threads: int, staging: Staging) -> PageWork:
    """Load the model of a task in a worker process, and return its work on a page."""
    import_modules(modules)
    torch.set_num_threads(threads)
    keep_freed_memory()
    return TaskOnPages(task, task.load(), staging)
