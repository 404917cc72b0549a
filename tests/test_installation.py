"""An editable installation: importable from anywhere, also from the folder that holds the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("flowkit", "recipes", "setup.py", "pyproject.toml", "README.md", "LICENSE")
IGNORED = shutil.ignore_patterns("__pycache__", "*.so", "*.safetensors")


@pytest.mark.slow
def test_a_script_beside_the_clone_finds_the_package(tmp_path):
    """A clone is a folder called flowkit: in the folder around it, Python could take that for the package."""
    pytest.importorskip("setuptools", minversion="77")
    clone, site = tmp_path / "flowkit", tmp_path / "site"
    clone.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, clone)
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "setup.py", "-q", "editable_wheel", "--dist-dir", tmp_path]
    done = subprocess.run(command, cwd=clone, env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    script = f"import site; site.addsitedir({str(site)!r}); import flowkit; print(flowkit.__file__)"
    # -S: flowkit itself may be installed in this environment, and would be found first
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True)
    assert done.stdout.strip() == str(clone / "flowkit" / "__init__.py"), done.stderr
