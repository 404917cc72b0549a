"""Settings of glibc's malloc: freed memory is kept for reuse, or goes back to the system at once."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

# mallopt's parameters (malloc.h): never ask the kernel for single large blocks, give back late, and have one
# store for all threads, or each would keep its own.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
SETTINGS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20, M_ARENA_MAX: 1}


def keep_freed_memory() -> bool:
    """Make glibc's malloc reuse the memory of large tensors; return true on success.

    By default glibc maps every tensor above 32 MB afresh and unmaps it when it is freed, and the kernel
    zeroes its pages again for every layer of every tile. Other C libraries are left alone, and so is a
    process whose user set MALLOC_... variables.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # asks whether it is glibc
        return all(library.mallopt(parameter, value) == 1 for parameter, value in SETTINGS.items())
    except (AttributeError, OSError, TypeError):
        return False


def give_back() -> None:
    """Make glibc's malloc return free pages to the system; does nothing for other C libraries.

    What was freed between tensors that live on is of no use to larger ones, and counts as the process's own.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
