"""--import: the caller's doors for layers of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowkit import registry
from flowkit.errors import RecipeError
from flowkit.recipe import import_modules, read_recipe

LAYER = """\
from flowkit.layers import FlowLayer
from flowkit.registry import register

@register("{name}")
class Mine(FlowLayer):
    pass
"""


@pytest.fixture(autouse=True)
def modules_restored() -> Iterator[None]:
    before = dict(sys.modules)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def test_a_module_of_the_working_directory(folder: Path) -> None:
    Path("fk_module.py").write_text(LAYER.format(name="from_module"))
    import_modules(["fk_module"])
    assert "from_module" in registry.names("layer")


def test_a_file_meets_requires(folder: Path) -> None:
    Path("sub").mkdir()
    Path("sub/fk_file.py").write_text(LAYER.format(name="from_file"))
    data = {"version": 1, "requires": ["fk_file"], "encoder": {"type": "unet"}, "flow": ["from_file"]}
    with pytest.raises(RecipeError) as error:
        read_recipe(data)
    assert str(error.value) == (
        'recipe needs "fk_file"; pass --import fk_file to trust and load it\n  at <dict>: requires[0]'
    )
    import_modules(["sub/fk_file.py", "./sub/fk_file.py"])  # twice is once
    assert read_recipe(data).layers[0].entry is sys.modules["fk_file"].Mine


@pytest.mark.parametrize(
    ("source", "module", "message"),
    [
        (None, "fk_gone", "--import fk_gone: ModuleNotFoundError: No module named 'fk_gone'"),
        (None, "fk_gone.py", "--import fk_gone.py: no such file"),
        ("1 / 0", "fk_bad.py", "--import fk_bad.py: ZeroDivisionError: division by zero"),
        ("1 / 0", "fk_bad", "--import fk_bad: ZeroDivisionError: division by zero"),
        ("", "sub/json.py", '--import sub/json.py: another module "json" is loaded already; rename the file'),
        (
            LAYER.format(name="squeeze"),
            "fk_twice.py",
            '--import fk_twice.py: RegistryError: layer "squeeze" is registered twice: '
            "by flowkit.layers.squeeze.Squeeze and by fk_twice.Mine",
        ),
    ],
)
def test_message(folder: Path, source: str | None, module: str, message: str) -> None:
    file = Path(module).with_suffix(".py")
    if source is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    with pytest.raises(RecipeError) as error:
        import_modules([module])
    assert str(error.value) == message
    assert file.stem not in sys.modules or file.stem == "json"
