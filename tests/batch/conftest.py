from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scans import PAGES, document, scan

from flowkit.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tree of scans and a document."""
    monkeypatch.chdir(tmp_path)
    for i, place in enumerate(["1.png", "b/2.png", "b/c/3.tif", "b/c/.hidden.png", "b/notes.txt"]):
        path = Path("scans", place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.touch()
        else:
            scan(i).save(path, dpi=(300, 300))
    document(Path("scans/book.tif"), PAGES - 3)
    return tmp_path


@pytest.fixture
def binarize(ink_checkpoint: Path) -> Callable[..., int]:
    return lambda *arguments: main(["binarize", *map(str, arguments), "--model", str(ink_checkpoint)])
