"""The site of docs/: it builds, has all that is public, its tables are the registry's, and its code runs."""

from __future__ import annotations

import copy
import importlib
import re
import runpy
import subprocess
import sys
import zlib
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from PIL import Image

from flowkit import registry
from flowkit.recipe import build, read_recipe_text
from flowkit.synthetic.page import draw_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PUBLIC = ("", ".layers", ".encoders", ".recipe", ".data", ".degradations", ".ops", ".pages", ".training")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_site_builds_and_has_everything_public(tmp_path, monkeypatch):
    for module in ("material", "mkdocstrings_handlers.python", "latex2mathml"):
        pytest.importorskip(module, reason="needs the extra docs")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    inventory = zlib.decompress((tmp_path / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    shown = {line.split()[0] for line in inventory.splitlines()}
    for package in PUBLIC:
        module = importlib.import_module(f"flowkit{package}")
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type | FunctionType):  # constants are shown where they are used
                assert shown & {f"flowkit{package}.{name}", f"{thing.__module__}.{name}"}, f"{package}.{name}"
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r'(src|rel="stylesheet" href)="https?:', page.read_text()), f"{page} asks others"


def test_tables_of_recipes_are_the_registrys():
    text = (DOCS / "reference" / "recipes.md").read_text()
    tables = runpy.run_path(str(DOCS / "site" / "tables.py"))
    assert tables["written"](text) == text, "stale: python docs/site/tables.py writes them anew"


def test_recipes_in_the_docs_build():
    for text in blocks("reference/recipes.md", "yaml"):
        assert build(read_recipe_text(text)).scale == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["background/flows.md", "guides/questions.md", "guides/write_a_layer.md", "reference/recipes.md"]
)
def test_python_in_the_docs_runs(page, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_entries", copy.deepcopy(registry._entries))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(~draw_page(90, 60, np.random.default_rng(0))).save("scan.tif")
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)


def test_every_example_has_its_line():
    text = (DOCS / "tutorial" / "examples.md").read_text()
    assert set(re.findall(r"\.\./\.\./examples/(\w+\.py)", text)) == {
        p.name for p in (ROOT / "examples").glob("*.py")
    }
