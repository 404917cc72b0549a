"""`flowkit degrade` and docs/reference/degradations.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit import registry
from flowkit.cli import main
from flowkit.degradations import PRESETS

ROOT = Path(__file__).parents[2]


def test_a_sheet_of_a_preset_repeats_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheets = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        options = ["--preset", "light", "--tile", "40", "--columns", "2", "--seed", str(seed)]
        assert main(["degrade", "drawn", *options, "-o", str(tmp_path / name)]) == 0
        with Image.open(tmp_path / name) as sheet:
            sheets.append(np.asarray(sheet))
    # the page, each step of the preset alone, three rows of them all
    rows = 1 + len(PRESETS["light"]) + 3
    assert f"a.png: {rows} rows" in capsys.readouterr().out
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


def test_a_sheet_of_a_file_and_an_image(tmp_path: Path) -> None:
    Image.new("L", (70, 50), 230).save(tmp_path / "page.tif")
    (tmp_path / "worse.yaml").write_text("degradations: [{type: stain, count: [3, 3], probability: 0}]\n")
    sheet = tmp_path / "sheet.png"
    spec = str(tmp_path / "worse.yaml")
    assert main(["degrade", str(tmp_path / "page.tif"), "--spec", spec, "-o", str(sheet)]) == 0
    pixels = np.asarray(Image.open(sheet))
    step = pixels.shape[0] // 5
    page, alone, all_of_it = (pixels[i * step + 16 : i * step + 66, 4:74] for i in range(3))
    assert np.ptp(page) == 0
    assert np.ptp(alone) > 5  # alone it is always seen ...
    assert np.array_equal(all_of_it, page)  # ... in the list, as often as the list says


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png", "-o", "sheet.png"], "missing.png"),
        (["-o", "sheet.xyz"], 'sheet.xyz: ".xyz", expected .png, .tif'),
        (["--spec", "missing.yaml", "-o", "sheet.png"], "no file missing.yaml"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["degrade", "--tile", "8", "--columns", "1", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_docs_name_every_degradation_option_and_preset() -> None:
    text = (ROOT / "docs/reference/degradations.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*) \|$", text, re.MULTILINE))
    assert sorted(rows) == registry.names("degradation")
    for name, shown in rows.items():
        known = registry.options(registry.get("degradation", name))
        assert re.findall(r"`(\w+)", shown) == [option for option in known if option != "probability"]
        for option in re.findall(r"`(\w+) (\[[^`]+\])`", shown):
            assert str(list(known[option[0]].default)) == option[1]
    assert all(f"`{name}`" in text for name in PRESETS)
    assert (ROOT / "docs/images/degradations.png").stat().st_size <= 300_000
