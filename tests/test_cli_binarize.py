"""`flowkit binarize`: what it writes and says, and what it does with input that cannot be used."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.cli import main


@pytest.fixture
def model(ink_checkpoint: Path) -> str:
    return str(ink_checkpoint)


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_one_page(folder: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["binarize", "page.png", "-o", "out.png", "--model", model]) == 0
    with Image.open("out.png") as image:
        assert (image.mode, image.size) == ("1", (37, 53))
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        ink = 100 * (1 - np.asarray(image).mean())
    out, err = capsys.readouterr()
    assert out == f"out.png: 37 x 53, 300 dpi, {ink:.1f} % ink\n"
    assert err == ""  # no progress bar: this is no terminal
    assert names(folder) == ["out.png", "page.png"]


def test_group_4(folder: Path, model: str) -> None:
    assert main(["binarize", "page.png", "-o", "out.tif", "--model", model]) == 0
    assert main(["binarize", "page.png", "-o", "out.png", "--model", model, "--threads", "1"]) == 0
    with Image.open("out.tif") as tif, Image.open("out.png") as png:
        assert tif.info["compression"] == "group4"
        assert tif.info["dpi"] == (300, 300)
        assert np.array_equal(np.asarray(tif), np.asarray(png))


def test_probability_map(folder: Path, model: str) -> None:
    verb = ["binarize", "page.png", "-o", "out.png", "--model", model, "--probability", "map.png"]
    assert main(verb) == 0
    with Image.open("map.png") as grey, Image.open("out.png") as ink:
        levels = np.asarray(grey)
        assert set(np.unique(levels)) <= {round(255 * k / 16) for k in range(17)}
        assert len(np.unique(levels)) > 2
        assert np.array_equal(np.asarray(ink), levels < 128)
    assert main([*verb, "--samples", "2"]) == 0
    with Image.open("map.png") as grey:
        assert set(np.unique(np.asarray(grey))) <= {0, 128, 255}


def test_seeds(folder: Path, model: str) -> None:
    written = []
    for i, seed in enumerate(("1", "1", "2")):
        out = f"{i}.png"
        verb = ["binarize", "page.png", "-o", out, "--model", model, "--temperature", "1", "--seed", seed]
        assert main(verb) == 0
        written.append(Path(out).read_bytes())
    assert written[0] == written[1] != written[2]


def test_several_pages_of_which_some_fail(
    folder: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (1, 1), 255).save("dot.tif")
    Path("bad.jpg").write_text("not an image")
    verb = ["binarize", "page.png", "bad.jpg", "none.png", "dot.tif", "-o", "out", "--model", model]
    assert main(verb) == 1
    out, err = capsys.readouterr()
    assert [line.split(",")[0] for line in out.splitlines()] == [
        f"{Path('out/page.png')}: 37 x 53",
        f"{Path('out/dot.png')}: 1 x 1",
    ]
    assert out.splitlines()[1].split(", ")[1] == "no dpi"
    assert err.splitlines() == [
        "flowkit: bad.jpg: not an image that can be read "
        "(expected one of PNG, JPEG, TIFF, BMP, PPM, WEBP, GIF, JPEG2000)",
        "flowkit: none.png: no such file",
        "flowkit: 2 of 4 pages failed:",
        "  bad.jpg: not an image that can be read "
        "(expected one of PNG, JPEG, TIFF, BMP, PPM, WEBP, GIF, JPEG2000)",
        "  none.png: no such file",
    ]
    assert names(folder / "out") == ["dot.png", "page.png", "report.jsonl"]


def test_one_page_into_a_folder_with_its_map(folder: Path, model: str) -> None:
    Path("out").mkdir()
    assert main(["binarize", "page.png", "-o", "out", "--model", model, "--probability", "maps"]) == 0
    assert names(folder) == ["maps", "maps/page.png", "out", "out/page.png", "out/report.jsonl", "page.png"]


def test_a_note_is_given(folder: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (10, 200)]
    frames[0].save("two.gif", save_all=True, append_images=frames[1:])
    assert main(["binarize", "two.gif", "-o", "out.png", "--model", model]) == 0
    assert capsys.readouterr().err == "flowkit: two.gif: holds 2 images, only the first is used\n"


def bomb(width: int = 30000, height: int = 20000) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100_000)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png", "-o", "out.png"], "none.png: no such file"),
        (["none.png", "-o", "none/out.jpg"], "none.png: no such file"),
        (["none.png", "-o", "out.png", "--format", "tif"], "none.png: no such file"),
        ([".", "-o", "out.png"], "out.png: is called like a file, expected a folder"),
        (["page.png", "text.png", "-o", "out.pdf"], "out.pdf: is called like a file, expected a folder"),
        (["page.png", "-o", "out.png", "--format", "tif"], "out.png: --format is for folders"),
        (["page.png", "-o", "out.png", "--html"], "--html needs a folder for the results, and out.png is a"),
        (["no*.png", "-o", "out"], "no*.png: no such file, and no image that it matches as a pattern"),
        (["none.png", "-o", "out/"], "none.png: no such file"),
        (["empty.png", "-o", "out.png"], "empty.png: the file is empty"),
        (["text.png", "-o", "out.png"], "text.png: not an image that can be read"),
        (["cut.png", "-o", "out.png"], "cut.png: the image is damaged or cut short"),
        (["bomb.png", "-o", "out.png"], "bomb.png: 30000 x 20000 pixels, more than the limit of 200,000,000"),
        (  # whose pixels are damaged, but nobody looks at them
            ["large.png", "-o", "out.png", "--memory", "600MB"],
            "large.png: a page of 9000 x 9000 pixels needs at least",
        ),
        (["large.png", "-o", "out.png"], "large.png: the image is damaged or cut short"),
        (
            ["page.png", "-o", "out.png", "--max-pixels", "99"],
            "page.png: 37 x 53 pixels, more than the limit",
        ),
        (["page.png", "-o", "out.jpg"], 'out.jpg: ".jpg", expected .png, .tif, .tiff'),
        (["page.png", "-o", "out"], "out: no suffix, expected .png"),
        (["page.png", "-o", "text.png/out.png"], "text.png: is not a folder"),
        (["page.png", "-o", "text.png/new/out.png"], "text.png: is not a folder"),
        (["page.png", "text.png", "-o", "empty.png"], "empty.png: is not a folder"),
        (
            ["page.png", "page.tif", "-o", "out"],
            "page.png and page.tif would both be written to out/page.png: name one",
        ),
        (["page.png", "-o", "page.png"], "page.png: is an input too, and would be overwritten"),
        (["page.png", "text.png", "-o", "."], "page.png: is an input too, and would be overwritten"),
        (
            ["page.png", "-o", "a.png", "--probability", "a.png"],
            "a.png: is meant for more than one result of page.png",
        ),
        (["page.png", "-o", "a.png", "--probability", "a.bmp"], 'a.bmp: ".bmp", expected .png'),
        (
            ["page.png", "-o", "a.png", "--probability", "b.png", "--samples", "1"],
            "--probability is made of samples: expected --samples 2 or more, got 1",
        ),
        (["page.png", "-o", "a.png", "--samples", "2", "--temperature", "0"], "2 samples at temperature 0"),
        (["page.png", "-o", "a.png", "--temperature", "-1"], "temperature must be a number of 0 or more"),
        (["page.png", "-o", "a.png", "--model", "cut.safetensors"], "cut.safetensors: not a complete"),
        (["page.png", "-o", "a.png", "--model", "no_such_model"], 'no weights called "no_such_model"'),
    ],
)
def test_one_line_and_nothing_written(
    arguments: list[str], message: str, folder: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.png").touch()
    Path("text.png").write_text("not an image")
    Path("cut.png").write_bytes(Path("page.png").read_bytes()[:2000])
    Path("bomb.png").write_bytes(bomb())
    Path("large.png").write_bytes(bomb(9000, 9000))
    Path("cut.safetensors").write_bytes(Path(model).read_bytes()[:-100])
    before = names(folder)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    assert main(["binarize", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"flowkit: {message}")
    assert err.count("\n") == 1
    assert names(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", "0"], "argument --samples: expected 1 or more, got 0"),
        (["--samples", "many"], "argument --samples: invalid whole number value: 'many'"),
        (["--seed", "-1"], "argument --seed: expected 0 or more, got -1"),
        (["--memory", "2"], 'argument --memory: expected a size such as 800MB, 2GB or 1.5GiB, got "2"'),
        (["--memory", "0GB"], "argument --memory: expected a size from 1kB to 1000TB"),
        (["--jobs", "0"], "argument --jobs: expected 1 or more, got 0"),
        (["--bits", "12"], "argument --bits: invalid choice"),
        (
            ["--decision", "mean", "--threshold", "0.3"],
            "argument --threshold: not allowed with argument --dec",
        ),
    ],
)
def test_wrong_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["binarize", "page.png", "-o", "out.png", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_outputs_are_checked_before_the_model_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["binarize", "page.png", "-o", "out.gif", "--model", "no_such_model"]) == 2
    assert "out.gif" in capsys.readouterr().err
