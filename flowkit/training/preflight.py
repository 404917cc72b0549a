"""Pre-flight checks: output folder and disk space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flowkit.errors import CheckpointError, OutputError
from flowkit.training.log import LOG
from flowkit.training.state import BEST, CHECKPOINTS, checkpoints


def check_out(out: Path, *, resume: bool) -> None:
    """Refuse a folder that cannot be written, that holds another run, or that has no run to resume.

    Raises:
        OutputError, CheckpointError: the folder is one of these.
    """
    if resume:
        if not checkpoints(out):
            raise CheckpointError(f"{out / CHECKPOINTS}: no checkpoints, nothing to resume")
    else:
        for name in (CHECKPOINTS, LOG):
            if (out / name).exists():
                raise OutputError(f"{out / name}: holds a run already; resume it, or name another folder")
    there = _existing(out)
    if not there.is_dir():
        raise OutputError(f"{out}: cannot be made a folder ({there} is a file)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be written (no permission in {there})")


def check_room(out: Path, size: int, keep: int) -> None:
    """Refuse a disk without room for the checkpoints to keep, the best, and the next.

    Raises:
        OutputError: there is too little room; the message gives the needed and the free space.
    """
    held = sum(file.stat().st_size for file in [*checkpoints(out), out / BEST] if file.is_file())
    needed, free = (keep + 2) * size - held, shutil.disk_usage(_existing(out)).free
    if needed > free:
        raise OutputError(
            f"{out}: {keep} checkpoints, the best and the next one need {needed / 1e6:,.0f} MB, "
            f"and {free / 1e6:,.0f} MB are free"
        )


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder (or file) above it, that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
