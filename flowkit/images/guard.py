"""The lock around Pillow's pixel limit and Python's warnings, which every thread of a process shares."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_LOCK = threading.RLock()


@contextmanager
def guarded(limit: int | None = None) -> Iterator[None]:
    """Run a block without Pillow's warnings and with `limit` as its pixel limit, one thread at a time.

    Both are put back afterwards. Nothing else in flowkit may set either of them: two locks around one limit
    leave it off for the whole process.

    Args:
        limit: pixels; None while only a header is read, so that the reader can say how large the image is.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
