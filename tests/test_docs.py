"""The site of docs/: it builds, has all that is public, its tables are the registry's, and its code runs."""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
import subprocess
import sys
import zlib
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
import torch
from PIL import Image

from flowkit.cli import parsers
from flowkit.recipe import build, read_recipe, read_recipe_text
from flowkit.synthetic.page import draw_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PUBLIC = ["layers", "encoders", "recipe", "data", "degradations", "ops", "pages", "batch", "training"]
PUBLIC = ["", *(f".{name}" for name in PUBLIC)]


def fenced(path: Path, language: str = "") -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def blocks(page: str, language: str) -> list[str]:
    return fenced(DOCS / page, language)


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
        text = page.read_text()
        assert not re.search(r'(src|rel="stylesheet" href)="https?:', text), f"{page} asks others"
        assert not re.search(r"<m\w+[^>]*>\\\w", text), f"{page}: a command of a formula was not understood"


tables = runpy.run_path(str(DOCS / "site" / "tables.py"))


@pytest.mark.parametrize("page", tables["PAGES"], ids=lambda page: page.name)
def test_generated_tables_are_up_to_date(page):
    assert tables["written"](page.read_text()) == page.read_text(), "stale: run python docs/site/tables.py"


def test_recipes_in_the_docs_build():
    for text in blocks("reference/recipes.md", "yaml"):
        assert build(read_recipe_text(text)).scale == 2


def commands(path: Path) -> list[str]:
    """The lines that call flowkit, continued lines joined, in code blocks without a language."""
    lines = "\n".join(fenced(path)).replace("\\\n", " ").splitlines()
    calls = [
        line[found.start() :]
        for line in lines
        if (found := re.search(r"(?<![\w./-])flowkit (?=[a-z])", line))
    ]
    return [re.sub(r"\s(&&|\||>) .*", "", re.sub(r"\$\([^)]*\)", "WORD", call)) for call in calls]


TEXTS = [*DOCS.glob("*.md"), *DOCS.glob("[!ir]*/*.md"), *DOCS.glob("reference/*.md")]
TEXTS += [*ROOT.glob("*.md"), *ROOT.glob("flowkit/weights/*.md")]


@pytest.mark.parametrize("path", [path for path in TEXTS if commands(path)], ids=lambda path: path.stem)
def test_commands_in_the_docs_are_understood(path):
    understands, _ = parsers()
    for line in commands(path):
        if "[options]" in line or "{" in line:
            continue  # a form, not a command
        try:
            args = understands.parse_args(shlex.split(line, comments=True)[1:])
        except SystemExit:
            pytest.fail(f"{path.name}: {line}")
        recipe = getattr(args, "recipe", "RECIPE")
        if isinstance(recipe, str) and recipe != "RECIPE" and not recipe.endswith(".yaml"):
            read_recipe(recipe)


@pytest.fixture
def readers_files(tmp_path, monkeypatch):
    """A folder with drawn stand-ins for the files of a reader that the docs speak of."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "interop")
    import srflow_formulas

    stack = [1, 8, 15, 22]
    monkeypatch.setattr(srflow_formulas, "BLOCKS", 23)
    monkeypatch.setattr(srflow_formulas, "STACK", stack)
    state = {name: tensor.float() for name, tensor in srflow_formulas.make_state().items()}
    torch.save(state, tmp_path / "IN.pth")
    rrdb = {name[5:]: tensor for name, tensor in state.items() if name.startswith("RRDB.")}
    torch.save(rrdb, tmp_path / "RealESRGAN_x4plus.pth")
    (tmp_path / "scans").mkdir()
    for name in ("scan.tif", "scans/1.tif"):
        Image.fromarray(~draw_page(90, 60, np.random.default_rng(0))).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)


PYTHON = [path.relative_to(DOCS).as_posix() for path in TEXTS if path.is_relative_to(DOCS)]
PYTHON = [page for page in PYTHON if blocks(page, "python") and "tutorial" not in page]  # test_tutorials.py


@pytest.mark.slow
@pytest.mark.parametrize("page", PYTHON)
def test_python_in_the_docs_runs(page, readers_files, registry_restored, monkeypatch):
    if page == "guides/export.md":  # each layer is traced for seconds; test_export.py has models that ship
        small = build("binarize", overrides=["vars.steps=1", "encoder.widths=[4, 4]"])
        monkeypatch.setattr("flowkit.load", lambda name: small)
    names: dict = {}
    for block in blocks(page, "python"):
        if 'to("cuda")' in block and not torch.cuda.is_available():
            pytest.skip("no GPU: the rest needs one")
        exec(compile(block, page, "exec"), names)


def test_every_example_has_its_line():
    text = (DOCS / "tutorial" / "examples.md").read_text()
    assert set(re.findall(r"\.\./\.\./examples/(\w+\.py)", text)) == {
        p.name for p in (ROOT / "examples").glob("*.py")
    }
