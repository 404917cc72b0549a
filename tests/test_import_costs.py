"""Work at import: each import in a process of its own loads no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

import flowkit
from flowkit.cli import VERBS

HEAVY = {"torch", "torch._dynamo", "numpy", "scipy", "matplotlib", "tensorboard", "PIL", "yaml", "ray"}
SLOW = {"torch._dynamo", "scipy", "matplotlib", "tensorboard", "ray"}


def after(code: str) -> set[str]:
    """Return the heavy modules that are loaded when a new process has run `code`."""
    script = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.rpartition("loaded:")[2].split())


def verb(*argv: str) -> str:
    return f"from flowkit.cli import main\ntry:\n    main({list(argv)})\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize("argv", [[], ["--help"], ["--version"], ["no-such-verb"]], ids=" ".join)
def test_the_command_line_answers_without_torch(argv):
    assert after(verb(*argv)) == set()


def test_the_package_is_imported_when_it_is_used():
    assert after("import flowkit\nassert flowkit.__version__") == set()
    assert "torch" in after("from flowkit import build")


def test_the_core_needs_torch_and_nothing_slow():
    names = ", ".join(flowkit.__all__)
    kinds = "('target', 'encoder', 'layer', 'loss')"
    code = f"from flowkit import {names}, registry\nfor kind in {kinds}: assert registry.names(kind)"
    assert after(code) & SLOW == set()
    assert after("from flowkit import build\nbuild('binarize')") & SLOW == set()


def test_a_verb_imports_what_it_needs():
    assert after(verb("models", "--help")) & (SLOW | {"PIL"}) == set()
    assert after(verb("binarize", "--help")) & (SLOW - {"scipy"}) == set()
    assert after(verb("train", "--help")) & SLOW == set()


def test_a_page_needs_no_compiler(tmp_path):
    """What in torch asks whether dynamo is at work may import all of it: seconds for every command."""
    Image.new("L", (40, 30), 200).save(tmp_path / "page.png")
    argv = ("binarize", str(tmp_path / "page.png"), "-o", str(tmp_path / "ink.png"))
    assert after(verb(*argv)) & (SLOW - {"scipy"}) == set()
    assert (tmp_path / "ink.png").is_file()


def test_every_verb_has_its_module_and_line():
    done = subprocess.run([sys.executable, "-m", "flowkit"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    for name, about in VERBS.items():
        assert name in done.stderr
        assert about.split()[0] in done.stderr


def test_the_version(capsys):
    from flowkit.cli import main

    with pytest.raises(SystemExit, match="^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"flowkit {flowkit.__version__}\n"


def test_public_names_and_modules_are_attributes():
    assert {*flowkit.__all__} <= {*dir(flowkit)}
    for name in flowkit.__all__:
        assert getattr(flowkit, name) is not None
    assert flowkit.pages.binarize.__module__.startswith("flowkit.pages")
    for wrong in ("biuld", "_private"):
        with pytest.raises(AttributeError, match=f"^module 'flowkit' has no attribute '{wrong}'$"):
            getattr(flowkit, wrong)


def test_a_module_that_fails_to_import_says_so_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(flowkit, "__path__", [*flowkit.__path__, str(tmp_path)])
    (tmp_path / "needs_more.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _ = flowkit.needs_more


def test_a_name_of_flowkit_is_refused_before_anything_was_loaded():
    code = """
from flowkit.errors import RegistryError
from flowkit.registry import register

class Mine:
    kind = "layer"

try:
    register("affine_coupling")(Mine)
except RegistryError as error:
    assert "is registered twice: by flowkit.layers" in str(error), error
else:
    raise AssertionError("taken")
"""
    assert "torch" in after(code)
