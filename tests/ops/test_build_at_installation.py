"""Compilation at installation: of the coupling, and if asked for of the affine op."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.ops import build_tools

ROOT = Path(__file__).parents[2]
PARTS = ("flowkit", "recipes", "setup.py", "pyproject.toml", "README.md", "LICENSE")

USE = """
import torch
from flowkit.ops import affine_packed, kernels
print(kernels.status()["cpu"])
out, _ = affine_packed(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), start=1)
print(torch.equal(out, torch.ones(1, 2, 3, 3)))
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The sources, without what earlier builds left among them."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.safetensors")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def build(checkout: Path, target: Path, *, door: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What `pip install --no-build-isolation` does of an installation before it packs it."""
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", str(target)],
        cwd=checkout,
        env={**os.environ, "FLOWKIT_BUILD_EXT": door, **more},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_an_installed_library_needs_neither_compiler_nor_cache(checkout, tmp_path):
    if why := build_tools.missing("cpu"):
        pytest.skip(f"the op cannot be compiled here: {why}")
    target = tmp_path / "site"
    done = build(checkout, target, door="cpu")
    assert done.returncode == 0, done.stderr[-2000:]
    [library] = (target / "flowkit" / "csrc").glob("affine*.so")
    assert len(list((target / "flowkit" / "csrc").glob("coupling*.so"))) == 1
    environment = {
        **os.environ,
        "PYTHONPATH": str(target),
        "PATH": "",
        "FLOWKIT_CACHE": str(tmp_path / "none"),
    }
    environment.pop("FLOWKIT_KERNELS", None)
    told = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == [f"compiled, {library}", "True"], told.stderr[-2000:]
    assert not (tmp_path / "none").exists()


COUPLING = """
from flowkit.ops import coupling_library
print(coupling_library.status())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("door", "compiler", "expected"), [("", None, 1), ("", "false", 0), ("0", None, 0)])
def test_a_plain_installation_compiles_the_coupling_if_it_can(checkout, tmp_path, door, compiler, expected):
    if build_tools.compiler() is None:
        pytest.skip("no C++ compiler (c++) on PATH")
    (checkout / "torch.py").write_text("raise ImportError('an isolated build has no torch')\n")
    target = tmp_path / "site"
    done = build(
        checkout, target, door=door, **({} if compiler is None else {"CC": compiler, "CXX": compiler})
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = list((target / "flowkit" / "csrc").glob("*.so"))
    assert len(found) == expected
    if found:
        environment = {**os.environ, "PYTHONPATH": str(target), "FLOWKIT_CACHE": str(tmp_path / "none")}
        environment.pop("FLOWKIT_KERNELS", None)
        command = [sys.executable, "-c", COUPLING]
        told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert told.stdout.startswith("compiled, "), told.stderr[-2000:]
        assert told.stdout.endswith(f", {found[0]}\n")


@pytest.mark.slow
def test_a_door_that_is_none_is_refused_by_name(checkout, tmp_path):
    done = build(checkout, tmp_path / "site", door="gpu")
    assert done.returncode != 0
    assert "FLOWKIT_BUILD_EXT must be 1, cpu or 0; got 'gpu'" in done.stdout + done.stderr
