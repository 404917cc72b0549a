"""Installations: importable from beside the clone; a source distribution with all files; metadata."""

from __future__ import annotations

import email
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("flowkit", "recipes", "setup.py", "pyproject.toml", "README.md", "LICENSE")
IGNORED = shutil.ignore_patterns("__pycache__", "*.so", "*.safetensors")


def setup(clone: Path, *command: object) -> None:
    """Run setup.py without the clone that the tests run from, and without a compiler."""
    pytest.importorskip("setuptools", minversion="77")
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    outside["FLOWKIT_BUILD_EXT"] = "0"
    command = (sys.executable, "setup.py", "-q", *command)
    done = subprocess.run(command, cwd=clone, env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["editable_wheel", "bdist_wheel"])
def test_a_script_beside_the_clone_finds_the_package(kind, tmp_path):
    """A clone is a folder called flowkit: in the folder around it, Python could take that for the package."""
    clone, site = tmp_path / "flowkit", tmp_path / "site"
    clone.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, clone)
    setup(clone, kind, "--dist-dir", tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    script = f"import site; site.addsitedir({str(site)!r}); import flowkit; print(flowkit.__file__)"
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # -S: flowkit itself may be installed in this environment, and would be found first
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True)
    found = clone if kind == "editable_wheel" else site
    assert done.stdout.strip() == str(found / "flowkit" / "__init__.py"), done.stderr


@pytest.fixture
def information(tmp_path) -> Callable[[Path], Path]:
    """The folder of a clone's metadata."""

    def make(clone: Path) -> Path:
        setup(clone, "egg_info", "--egg-base", tmp_path)
        [folder] = tmp_path.glob("*.egg-info")
        return folder

    return make


def test_a_source_distribution_holds_every_file(information):
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git clone, which would say what belongs to it")
    held = (information(ROOT) / "SOURCES.txt").read_text().splitlines()
    assert {name for name in done.stdout.split("\0") if name} - {*held} == set()


def clone_with(folder: Path, *changes: tuple[str, str]) -> Path:
    """As much of the clone as metadata are made of, with changes of pyproject.toml."""
    for name in ("flowkit", "recipes"):
        (folder / name).mkdir(parents=True)
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    project = (ROOT / "pyproject.toml").read_text()
    for before, after in changes:
        assert before in project
        project = project.replace(before, after)
    (folder / "pyproject.toml").write_text(project)
    return folder


ADDRESS = (
    'authors = [{name = "The flowkit authors"',
    'authors = [{name = "The flowkit authors", email = "a@b.example"',
)
SOURCE = "[project.urls]\n", '[project.urls]\nSource = "https://code.example/flowkit"\n'


@pytest.mark.parametrize("is_public", [False, True])
def test_links_on_a_package_index_are_absolute(is_public, information, tmp_path):
    clone = clone_with(tmp_path / "clone", *([SOURCE] if is_public else []))
    made = information(clone) / "PKG-INFO"
    text = str(email.message_from_string(made.read_text()).get_payload())
    assert "flowkit turns scans of documents into black ink" in text
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [link for link in links if not link.startswith("https://")] == []
    image = (
        "![A drawn page, its binarization, and its map of P(ink)](https://code.example/flowkit/raw/HEAD/docs/"
    )
    assert (image in text) == is_public
    assert ("[Results](https://code.example/flowkit/blob/HEAD/docs/results/index.md)" in text) == is_public


@pytest.mark.slow
def test_metadata_are_complete_but_for_what_a_release_fills_in(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWKIT_BUILD_EXT", "0")
    ratings = pytest.importorskip("pyroma.ratings", reason="needs pyroma")
    metadata = importlib.import_module("pyroma.projectdata")
    data = metadata.get_build_data(str(clone_with(tmp_path, ADDRESS)), isolated=False)
    assert ratings.rate(data) == (10, [])
