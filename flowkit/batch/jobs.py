"""The number of processes of a batch: as many as help, and as this machine's memory holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flowkit.batch.job import BatchJob
from flowkit.pages.memory import MEMORY
from flowkit.tables import cores

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # of this process, where it is in a container


def settled(job: BatchJob, pages: int) -> BatchJob:
    """Return the job with a number of processes for so many pages, where it leaves that open.

    There are as many as cores and as pages, but no more than the job's memory has room for when each gets
    what one process gets by default. They share that memory.
    """
    if job.jobs != "auto":
        return job
    jobs = max(1, min(cores() or 1, pages, job.task.memory // MEMORY))
    return replace(job, jobs=jobs, task=replace(job.task, memory=job.task.memory // jobs))


def free_memory() -> int:
    """Return the bytes that processes can have here; one process's default where the system does not tell."""
    known = [found for found in (_of_system(), _of_group()) if found is not None]
    return max(MEMORY, min(known, default=MEMORY))


def _of_system() -> int | None:
    """Return the memory that is left without swapping, as Linux estimates it."""
    if _MEMINFO.is_file():
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_group() -> int | None:
    """Return the memory that is left of a container's; None where it has no limit."""
    limit, used = _GROUP / "memory.max", _GROUP / "memory.current"
    try:
        most = limit.read_text().strip()
        return None if most == "max" else int(most) - int(used.read_text())
    except (OSError, ValueError):
        return None
