from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.batch import BatchJob, Binarize, Clean, run


@pytest.fixture
def scans(tmp_path: Path, pixels, write) -> Path:
    """A folder with a folder of pages: two that can be read, and one that cannot."""
    folder = tmp_path / "scans"
    for seed, name in enumerate(["a/1.png", "a/2.png"]):
        write(folder / name, pixels(61, 83, seed), dpi=(300, 300))
    (folder / "bad.png").write_text("no image")
    return folder


@pytest.fixture
def task(ink_checkpoint: Path) -> Binarize:
    return Binarize(model=str(ink_checkpoint), samples=4)


@pytest.fixture
def ink(scans: Path, task: Binarize) -> Path:
    """A run over these pages."""
    out = scans.with_name("ink")
    with run(BatchJob([scans], f"{out}/", task, maps={"probability": out / "p"})) as records:
        assert sorted(one.status for one in records) == ["done", "done", "failed"]
    return out


@pytest.fixture
def cleaned(scans: Path, task: Binarize) -> Path:
    """A run of `flowkit clean` over these pages."""
    out = scans.with_name("cleaned")
    with run(BatchJob([scans], f"{out}/", Clean(model=task.model), format="jpg")) as records:
        assert sorted(one.status for one in records) == ["done", "done", "failed"]
    return out
