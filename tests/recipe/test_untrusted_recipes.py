"""Recipes of strangers: what they extend, what they show on a terminal, and how much work they make."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.errors import FlowkitError, RecipeError
from flowkit.recipe import build, read_recipe, read_recipe_text
from flowkit.recipe.find import MAX_CHAIN

BASE = "version: 1\nencoder: {type: unet, widths: [4, 4]}\nflow: [squeeze]\n"


@pytest.fixture
def nested(folder: Path) -> Path:
    """A folder of recipes inside the working directory."""
    inside = folder / "recipes" / "mine"
    inside.mkdir(parents=True)
    (folder / "outside.yaml").write_text(BASE)
    (folder / "recipes" / "beside.yaml").write_text(BASE)
    (inside / "base.yaml").write_text(BASE)
    return inside


def extending(folder: Path, name: str) -> Path:
    (folder / "child.yaml").write_text(f"extends: {name}\nname: child\n")
    return folder / "child.yaml"


def problem(source: Path, **options: bool) -> str:
    with pytest.raises(RecipeError) as error:
        read_recipe(source, **options)
    return str(error.value)


@pytest.mark.parametrize(
    "way", ["../beside.yaml", "../../outside.yaml", "ABSOLUTE", "link.yaml", "x/../../beside.yaml"]
)
def test_files_outside_of_the_recipes_folder(nested: Path, way: str) -> None:
    (nested / "link.yaml").symlink_to(nested.parent / "beside.yaml")
    (nested / "x").mkdir()
    name = str(nested.parent / "beside.yaml") if way == "ABSOLUTE" else way
    child = extending(nested, name)
    said = problem(child)
    assert f'"{name}" is outside of the recipe\'s folder, {nested}; --extends-anywhere' in said
    assert said.endswith("child.yaml:1: extends")
    assert read_recipe(child, extends_anywhere=True).name == "child"
    assert len(build(child, extends_anywhere=True).layers) == 1


def test_nothing_is_said_of_files_outside(nested: Path) -> None:
    there, not_there = (problem(extending(nested, name)) for name in ("../beside.yaml", "../nowhere.yaml"))
    assert there.replace("beside", "nowhere") == not_there


def test_a_chain_stays_below_the_first_recipes_folder(nested: Path) -> None:
    (nested / "deep").mkdir()
    (nested / "deep" / "middle.yaml").write_text("extends: ../base.yaml\n")
    assert read_recipe(extending(nested, "deep/middle.yaml")).name == "child"
    (nested / "deep" / "middle.yaml").write_text("extends: ../../beside.yaml\n")
    assert "is outside of the recipe's folder" in problem(extending(nested, "deep/middle.yaml"))
    assert read_recipe({"extends": "recipes/mine/base.yaml"}).layers
    with pytest.raises(RecipeError, match="is outside"):
        read_recipe({"extends": "../elsewhere.yaml"})


def test_a_chain_has_an_end(folder: Path) -> None:
    (folder / "0.yaml").write_text(BASE)
    for number in range(1, 40):
        (folder / f"{number}.yaml").write_text(f"extends: {number - 1}.yaml\n")
    assert read_recipe(folder / f"{MAX_CHAIN - 1}.yaml").layers
    assert f"more than {MAX_CHAIN} recipes extend one another" in problem(folder / "39.yaml")


def test_pipes_and_devices_are_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")  # a reader would wait for whoever writes
    assert "pipe.yaml is not a regular file" in problem(extending(folder, "pipe.yaml"))
    assert "zero is not a regular file" in problem(extending(folder, "/dev/zero"), extends_anywhere=True)


@pytest.mark.parametrize(
    "content",
    [
        b"hunter2:x:0:0:root:/root:/bin/sh\n",
        b"password: hunter2\n",
        b"[hunter2]\n",
        b"- &hunter2 x\n- *hunter2\n",
        b"hunter2: {\n",
        b"%hunter2\n---\n",
        b"hunter2: \xff\n",
        b"a: 1\na: hunter2\n? [hunter2]\n: 2",
    ],
)
def test_what_is_no_recipe_is_not_quoted(folder: Path, content: bytes) -> None:
    (folder / "secret").write_bytes(content)
    said = problem(extending(folder, "./secret"))
    assert said.startswith("secret is not a recipe; flowkit check says why")
    assert "hunter2" not in said
    assert "0xff" not in said


def test_the_command_line_allows_it_by_name(nested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = str(extending(nested, "../beside.yaml"))
    for verb in ("check", "show"):
        assert main([verb, child]) == 2
        assert "--extends-anywhere" in capsys.readouterr().err
        assert main([verb, child, "--extends-anywhere"]) == 0


CONTROL = {
    "a name": 'version: 1\nname: "\\e[31mred\\e]0;title\\a"\nencoder: {type: unet}\nflow: [squeeze]\n',
    "a layer": 'version: 1\nencoder: {type: unet}\nflow: ["\\e[2Jx"]\n',
    "a key": 'version: 1\n"\\e[2J": 1\nencoder: {type: unet}\nflow: [squeeze]\n',
    "a value": 'version: 1\nvars: {a: "\\x9b2J"}\nencoder: {type: unet}\nflow: [squeeze]\n',
    "a surrogate": 'version: 1\nabout: "\\ud800"\nencoder: {type: unet}\nflow: [squeeze]\n',
}


@pytest.mark.parametrize("where", CONTROL)
def test_control_characters_never_reach_a_terminal(
    where: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "r.yaml").write_text(CONTROL[where])
    assert main(["check", "r.yaml"]) == 2
    said = "".join(capsys.readouterr())
    assert all(c.isprintable() or c == "\n" for c in said)
    assert "control characters are refused in" in said
    with pytest.raises(RecipeError, match="control characters are refused in"):
        read_recipe_text(CONTROL[where])
    with pytest.raises(RecipeError, match="control characters are refused in"):
        read_recipe({"version": 1, "name": "\x1b[2J", "\x9b": 2})


def test_errors_escape_what_they_quote() -> None:
    error = FlowkitError('no file "\x1b[2J\x9b\u202e\udcff.png"\n  at a\r.yaml:1')
    assert str(error) == 'no file "\\x1b[2J\\x9b\\u202e\\udcff.png"\n  at a\\r.yaml:1'


def calls(source: str) -> tuple[int, str]:
    """How many functions are called, and what comes of it."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        build(read_recipe_text(source))
        outcome = "built"
    except RecipeError as error:
        outcome = str(error)
    finally:
        sys.setprofile(None)
    return count, outcome


def recipe(flow: str, encoder: str = "{type: unet, widths: [4, 4]}", **sections: str) -> str:
    parts = {"encoder": encoder, "flow": flow, **sections}
    return "version: 1\n" + "".join(f"{key}: {value}\n" for key, value in parts.items())


def inverses(depth: int) -> str:
    return "{type: inverse, layer: " * depth + "actnorm" + "}" * depth


ZEROS = ", ".join("0" * 300)
WORK = {
    "inverses in inverses": (recipe(f"[squeeze, {inverses(24)}]"), "built"),
    "widths": (
        recipe("[squeeze]", f"{{type: unet, widths: [{'8, ' * 300}8]}}"),
        "301 scales, expected 16 at most",
    ),
    "uses of a variable": (
        recipe(f"[{'{type: split, a: $v}, ' * 400}squeeze]", vars=f"{{v: [{ZEROS}]}}"),
        "with its variables put in, it has 121,208 values, 65,536 at most",
    ),
    "items of a list": (
        recipe("[squeeze]", f"{{type: rrdb, stack: [{'1, ' * 1200}1]}}"),
        "must have 1,000 items at most, got 1,201",
    ),
    "layers": (recipe("[squeeze, {repeat: 9999, steps: [affine_coupling]}]"), "more than 10,000 modules"),
    "repeats in repeats": (
        recipe("[" + "{repeat: 10000, steps: [" * 20 + "actnorm" + "]}" * 20 + "]"),
        "a flow has 1 to 10,000 layers, got 1e+80",
    ),
    "blocks of a U-Net": (
        recipe("[squeeze]", "{type: unet, widths: [1], blocks: 1000000000}"),
        "10,000 modules",
    ),
    "blocks of an RRDB": (
        recipe("[squeeze]", "{type: rrdb, scale: 1, features: 1, growth: 1, blocks: 1000000000}"),
        "10,000 modules",
    ),
    "blocks of a network": (
        recipe("[squeeze, {type: nflows/masked_affine_autoregressive, num_blocks: 1000000000}]"),
        "10,000 modules",
    ),
    "channels": (
        recipe("[" + "squeeze, " * 7 + "conv1x1]", target="{channels: 1}"),
        "a flow has 1,024 at most",
    ),
    "unknown names": (recipe(f"[{', '.join(f'x{n}' for n in range(200))}]"), 'unknown layer "x0"'),
}


@pytest.mark.parametrize("what", WORK)
def test_a_recipe_of_a_kilobyte_is_checked_in_about_a_second(what: str) -> None:
    """Ten million calls a second or two: what is counted is the work, not the time, which others share."""
    source, expected = WORK[what]
    count, outcome = calls(source)
    assert expected in outcome
    assert count < 3_000_000
