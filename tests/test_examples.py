"""Every example is short, and runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def run(*args: object) -> str:
    done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_short_and_explained(script):
    lines = script.read_text().splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith('"""')


@pytest.mark.slow
def test_draw_and_binarize_a_page(tmp_path):
    page = tmp_path / "page.png"
    run(EXAMPLES / "draw_page.py", page, "--width", 160, "--height", 120, "--seed", 1)
    out = run(EXAMPLES / "binarize_page.py", page, "-o", tmp_path / "row.png", "--samples", 2)
    assert "% ink" in out
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (3 * 160 + 2 * 12, 120)


@pytest.mark.slow
def test_a_layer_of_ones_own():
    assert "layers, " in run(EXAMPLES / "use_custom_layer.py")
    recipe, module = EXAMPLES / "custom_layer.yaml", EXAMPLES / "custom_layer.py"
    assert ": ok, 17 layers" in run("-m", "flowkit", "check", recipe, "--import", module)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train_binarize.py", "train_super_resolution.py"])
def test_small_runs_reach_their_bounds(script, tmp_path):
    assert "(bound " in run(EXAMPLES / script, tmp_path / "run")  # it fails where the bound is not reached
    assert (tmp_path / "run" / "samples.png").is_file()
