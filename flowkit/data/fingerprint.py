"""Fingerprints of pages: digests of their pixels, independent of the file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fingerprint(image: NDArray[Any]) -> str:
    """Return 16 hexadecimal digits of SHA-256 over an image's size and values: of pages, 8-bit (H, W, 3).

    The same page in another lossless format has the same fingerprint; one that was cropped or compressed
    again has not.

    >>> import numpy as np
    >>> fingerprint(np.zeros((2, 3, 3), np.uint8))
    '912c1186b206cf99'
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:16]
