"""The tutorials of docs/: commands and Python run as they stand, and end with the picture that is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "docs" / "tutorial"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((TUTORIALS / page).read_text())


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the examples in it, in which `python` and `flowkit` are those of the tests."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, arguments in (("python", ""), ("flowkit", "-m flowkit")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_shape(made: Path, shown: Path) -> bool:
    with Image.open(made) as new, Image.open(shown) as old:
        return new.size == old.size


@pytest.mark.slow
def test_first_pages(workplace):
    python = []
    for language, text in blocks("pages.md"):
        if language == "python":
            python.append(text)
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
    exec(compile("\n".join(python), "pages.md", "exec"), {})
    found = {path.relative_to(workplace).as_posix() for path in workplace.rglob("*.*")}
    assert {"ink/report.html", "p_ink/print.png", "doubt/letter.png", "letter.tif"} <= found
    assert same_shape(workplace / "letter_row.jpg", ROOT / "docs" / "images" / "tutorial_pages.jpg")


@pytest.mark.slow
def test_first_flow(workplace):
    names: dict = {}
    for language, text in blocks("flows.md"):
        assert language == "python"
        exec(compile(text, "flows.md", "exec"), names)
    assert names["bits"]["truth"] < 0.5
    assert same_shape(workplace / "flow.png", ROOT / "docs" / "images" / "tutorial_flows.png")
