"""What the README shows has to run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from flowkit.cli import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_two_commands():
    first, second = re.findall(r"^pip install .*$", README, re.MULTILINE)
    assert first.endswith("flowkit binarize examples/page.png -o page_bw.png")
    assert second.endswith("pytest -n logical")


@pytest.mark.slow
def test_the_python_example():
    [example] = blocks("python")
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["p_ink"].shape == (1, 1, 256, 320)
    assert torch.equal(names["p"].decode(names["z"]), names["mode"])
    assert names["loss"].isfinite()


def test_every_verb_is_in_the_table():
    assert set(re.findall(r"`flowkit ([\w-]+)", README)) == set(VERBS)


def test_pictures_and_files_are_there():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).is_file(), path
