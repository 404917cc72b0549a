"""`--engine ray`: the same files and records as without it, and workers that die."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.batch.plan import Sheet
from flowkit.batch.ray import _packed
from flowkit.cli import main

DEADLY = """
import os, pathlib, signal
from flowkit.batch import page_work

read = page_work.read


def deadly(path, **options):
    once = pathlib.Path(os.environ["ONCE"])
    if path.name == "always.png" or (path.name == "1.png" and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path, **options)


page_work.read = deadly
"""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    pages = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (30, 20), dtype=np.uint8)) for i in range(4)
    ]
    pages[0].save("scans/book.tif", save_all=True, append_images=pages[2:], dpi=(300, 300))
    for i, page in enumerate(pages[:3]):
        page.save(f"scans/{i}.png", dpi=(300, 300))
    return Path("scans")


@pytest.mark.slow
def test_the_same_as_without_it_though_workers_die(scans: Path, ink_checkpoint: Path) -> None:
    pytest.importorskip("ray.data", reason="ray is not installed")
    options = ["--model", str(ink_checkpoint), "--format", "tif", "--samples", "2", "--precision", "float32"]
    assert main(["binarize", "scans", "-o", "local", *options]) == 0
    Image.new("L", (9, 9)).save("scans/always.png")
    Path("deadly.py").write_text(DEADLY)
    verb = [sys.executable, "-m", "flowkit", "binarize", "scans", "-o", "out", *options, "--engine", "ray"]
    done = subprocess.run(
        [*verb, "--jobs", "2", "--import", "deadly.py"],
        env=os.environ | {"ONCE": str(Path("once").resolve())},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "  scans/always.png: the processes that worked on it died"
    # Ray says there, too, what it thinks of workers that die
    assert sum(line.startswith("out/") for line in done.stdout.splitlines()) == 6
    assert files(Path("out")) == files(Path("local"))
    lines = [json.loads(line) for line in Path("out/report.jsonl").read_text().splitlines()]
    pages = [(line["output"], line["page"]) for line in lines if line["status"] == "done"]
    assert sorted(pages, key=str) == sorted(
        [("0.tif", None), ("1.tif", None), ("2.tif", None), *(("book.tif", page) for page in (1, 2, 3))],
        key=str,
    )


def test_a_page_travels_whole_with_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = Sheet(
        Path("book.tif"), 1, Path("parts/002.pdf"), {"probability": Path("p.png")}, (Path("s-01.png"),),
        Path("book-002.xml"), Path("book.pdf"),
    )  # fmt: skip
    here = tmp_path / "parts"
    assert pickle.loads(_packed(sheet)) == Sheet(
        tmp_path / "book.tif", 1, here / "002.pdf", {"probability": tmp_path / "p.png"},
        (tmp_path / "s-01.png",), tmp_path / "book-002.xml", tmp_path / "book.pdf", "book.tif",
    )  # fmt: skip


def test_what_it_needs_is_named(
    scans: Path, ink_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.import_module

    def missing(name: str) -> object:
        if name.startswith("ray"):
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert main(["binarize", "scans", "-o", "out", "--model", str(ink_checkpoint), "--engine", "ray"]) == 2
    assert capsys.readouterr().err == "flowkit: --engine ray needs ray: pip install 'flowkit-nf[ray]'\n"
