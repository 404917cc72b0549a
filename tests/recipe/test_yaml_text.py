"""YAML 1.2 in, YAML that reads back out, and files that are no recipes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from flowkit.errors import RecipeError
from flowkit.recipe.yaml_text import MAX_BYTES, parse, parse_value, read_file, scalar
from flowkit.recipe.yaml_writer import dump

SCALARS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "False": False,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "off": "off",
    "y": "y",
    "12": 12,
    "-3": -3,
    "+3": 3,
    "010": 10,
    "0x1F": 31,
    "0o17": 15,
    "200_000": 200_000,
    "1__0": "1__0",
    "_1": "_1",
    "1e-4": 1e-4,
    "2.5e-4": 2.5e-4,
    "1e5": 1e5,
    ".5": 0.5,
    "2.": 2.0,
    "-.inf": -math.inf,
    "12:30": "12:30",
    "2024-01-01": "2024-01-01",
    "1.2.3": "1.2.3",
    "0b11": "0b11",
    "1e": "1e",
    ".": ".",
    "=": "=",
    "<<": "<<",
    "\N{ARABIC-INDIC DIGIT THREE}": "\N{ARABIC-INDIC DIGIT THREE}",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalar(text: str) -> None:
    value = scalar(text)
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_nan() -> None:
    value = scalar(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize("text", [str(2**63), "0x" + "f" * 17, "9" * 5000])
def test_numbers_beyond_64_bits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        scalar(text)
    with pytest.raises(RecipeError, match=r"does not fit into 64 bits\n  at r.yaml:2$"):
        parse(f"version: 1\nname: {text}\n", "r.yaml")


def test_quoted_scalars_are_text() -> None:
    assert parse("a: '1'\nb: \"true\"\nc: |\n  12\n", "x").data == {"a": "1", "b": "true", "c": "12\n"}


def test_dumped_data_reads_back() -> None:
    shared = [1]
    data = {
        "texts": list(SCALARS),
        "values": list(SCALARS.values()),
        "odd": [
            "a: b",
            "# no",
            "$x",
            " space ",
            "two\nlines\n",
            "\N{SNOWMAN}",
            "9" * 50,
            "x" * 300,
        ],
        "floats": [1e-300, 1e22, 0.1, 1.0, -0.0, 2.5e-4],
        "nested": [[], {}, [[]], {"a": {"b": [{"c": None}]}}],
        "shared": [shared, shared],
        "12": {"on": 1, "null": 2},
    }
    back = parse(dump(data), "x").data
    assert back == data
    assert repr(back) == repr(data)  # == takes 1 for 1.0 and for True


def test_marks_are_the_lines_of_keys_and_items() -> None:
    document = parse("version: 1\nflow:\n  - squeeze\n  - type: split\n    scale:\n      soft\n", "r.yaml")
    assert document.place(("flow",)) == "at r.yaml:2: flow"
    assert document.place(("flow", 0)) == "at r.yaml:3: flow[0]"
    assert document.place(("flow", 1, "scale")) == "at r.yaml:5: flow[1].scale"
    assert document.place(("flow", 1, "eps")) == "at r.yaml:4: flow[1].eps"
    assert document.place(("train",)) == "at r.yaml: train"
    assert document.place(()) == "at r.yaml"


def test_a_value_by_itself() -> None:
    assert parse_value("{type: unet, widths: [1e1, 2]}", "--set") == {"type": "unet", "widths": [10.0, 2]}
    assert parse_value("", "--set") is None
    with pytest.raises(RecipeError, match=r"^not valid YAML: .*\n  at --set x$"):
        parse_value("[1", "--set x")


BAD_FILES = {
    "latin1": (b"version: 1\nname: caf\xe9\n", r"latin1 is not UTF-8 text \(byte 0xe9 at offset 20\)"),
    "nothing": (b"", "nothing is empty, expected a recipe"),
    "large": (b"#" * (MAX_BYTES + 1), r"large is larger than 65,536 bytes, which no recipe is"),
    "nul": (b"a: \0\n", r"not valid YAML: unacceptable character #x0000: [a-z ]+\n  at nul"),
    "tab": (
        b"a:\n\tb: 1\n",
        r"not valid YAML: .*found character '\\t' that cannot start any token\n  at tab:2",
    ),
    "deep": (b"a: " + b"[" * 60_000, r"nested more than 50 deep\n  at deep:1"),
    "png": (b"\x89PNG\r\n\x1a\n", r"png is not UTF-8 text \(byte 0x89 at offset 0\)"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_recipes(folder: Path, name: str) -> None:
    raw, message = BAD_FILES[name]
    Path(name).write_bytes(raw)
    with pytest.raises(RecipeError, match=f"^{message}$"):
        read_file(Path(name))


def test_a_folder_and_a_missing_file(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"^\. is a folder, expected a recipe file$"):
        read_file(Path())
    with pytest.raises(RecipeError, match=r"^no file gone\.yaml$"):
        read_file(Path("gone.yaml"))
    with pytest.raises(RecipeError, match=r"cannot read .*: embedded null byte"):
        read_file(Path("a\0b"))


def test_a_byte_order_mark_and_windows_lines_are_no_matter(folder: Path) -> None:
    Path("r.yaml").write_bytes(b"\xef\xbb\xbfversion: 1\r\nname: x\r\n")
    assert read_file(Path("r.yaml")).data == {"version": 1, "name": "x"}
