"""Processes that are killed in the middle of what they do."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowkit.batch.page_work import PageWork
from flowkit.batch.plan import Sheet
from flowkit.batch.tasks import Fields, Progress

_NUMBERS = itertools.count()


def import_deadly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options by which the processes of a run, but not this one, are killed where they read `deadly.png`."""
    name = f"deadly_{next(_NUMBERS)}.py"  # a module is imported once
    Path(name).write_text(
        "import os, signal\n"
        "from flowkit.batch import page_work\n"
        "read = page_work.read\n"
        "def deadly(path, **options):\n"
        "    if path.name == 'deadly.png':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(path, **options)\n"
        "if page_work.read.__module__ != __name__ and os.environ.get('DEADLY') != str(os.getpid()):\n"
        "    page_work.read = deadly\n"
    )
    monkeypatch.setenv("DEADLY", str(os.getpid()))
    return ["--jobs", "2", "--import", name]


def start_badly(starts: Path, deaths: int) -> Callable[[], PageWork]:
    """What processes begin with: it counts them by a byte each, and the first ones are killed."""
    return functools.partial(_start, starts, deaths)


def _start(starts: Path, deaths: int) -> PageWork:
    with starts.open("ab") as file:
        file.write(b".")
    if starts.stat().st_size <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return _page


def start_with_an_error(starts: Path, deaths: int) -> Callable[[], PageWork]:
    """As `start_badly`, but what ends the first ones is an error of Python."""
    return functools.partial(_start_with_an_error, starts, deaths)


def _start_with_an_error(starts: Path, deaths: int) -> PageWork:
    with starts.open("ab") as file:
        file.write(b".")
    if starts.stat().st_size <= deaths:
        raise MemoryError("none left")
    return _page


def _page(sheet: Sheet, progress: Progress) -> Fields:
    return {"status": "done"}


def kill_in(monkeypatch: pytest.MonkeyPatch, where: str, call: int, after: bool) -> None:
    """SIGKILL this process at the n-th call of a function, before it or right after."""
    module, _, name = where.rpartition(".")
    owner: Any = sys.modules.get(module)
    if owner is None:  # a method
        module, _, cls = module.rpartition(".")
        owner = getattr(sys.modules[module], cls)
    inner, calls = getattr(owner, name), iter(range(1, 1000))

    def deadly(*args: Any, **options: Any) -> Any:
        mine = next(calls) == call
        if mine and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    monkeypatch.setattr(owner, name, deadly)
