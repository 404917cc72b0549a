"""Messages of libtiff while it decodes: it continues after errors that Pillow does not see."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Fax4Decode: Bad code word at line 5 of strip 0 (x 12).
_DAMAGE = re.compile(r"^((?:Fax|LZW|ZIP|PackBits|JPEG|CCITT)\w*: (?!Warning).*)", re.MULTILINE)


@contextmanager
def intercepted() -> Iterator[list[str]]:
    """Collect what C libraries print to stderr during the block; the list then has their decoding errors."""
    damage: list[str] = []
    with suppress(Exception):
        sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:  # there is no stderr
        yield damage
        return
    try:
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield damage
            finally:
                os.dup2(original, 2)
                caught.seek(0)
                damage += _DAMAGE.findall(caught.read(10_000).decode(errors="replace"))
    finally:
        os.close(original)
