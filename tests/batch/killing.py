"""Processes that are killed in the middle of what they do."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest


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
