"""The outcome of reading a file that may be anything."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from flowkit.errors import ImageError
from flowkit.images.reader import count_pages, read


def outcome(path: Path) -> str:
    """ "page" or "error"; anything else that is raised is a failure of the test, and so is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pages = count_pages(path)
            picture = read(path)
            read(path, page=pages - 1)
        except ImageError as error:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)
            return "error"
    assert picture.pixels.dtype in (np.uint8, np.uint16)
    assert 0 not in picture.pixels.shape
    return "page"
