"""Standard input of a batch: a list of paths, or an image that is piped in."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import TracebackType

from flowkit.errors import OutputError
from flowkit.images.reader import is_image_data

NAME = "standard input"
"""The name of a piped image in messages and in the report."""


class StandardInput:
    """Standard input, which is read once, when it is first asked for.

    A piped image becomes a file in a temporary folder for as long as the `with` block lasts, since every
    page is read from a file.
    """

    def __init__(self) -> None:
        self._data: bytes | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._image: Path | None = None

    def __enter__(self) -> StandardInput:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def read(self) -> bytes:
        """Return what was piped in; nothing when it is asked for again."""
        data = sys.stdin.buffer.read() if self._data is None else self._data
        self._data = b""
        return data

    def image(self) -> Path | None:
        """Return the file of a piped image; None where standard input is no image.

        Raises:
            OutputError: the temporary file cannot be written.
        """
        if self._image is None:
            self._data = self.read()
            if is_image_data(self._data):
                try:
                    self._folder = tempfile.TemporaryDirectory(prefix="flowkit-stdin-")
                    path = Path(self._folder.name, "stdin")
                    path.write_bytes(self.read())
                except OSError as error:
                    raise OutputError(f"{NAME}: cannot be kept ({error.strerror or error})") from None
                self._image = path
        return self._image

    def title(self, path: Path) -> str:
        """Return the name that messages and the report give a file: empty for all but a piped image."""
        return NAME if path == self._image else ""
