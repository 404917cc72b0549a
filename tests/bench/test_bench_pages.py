from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from flowkit.bench import pages
from flowkit.bench.memory import Peak
from flowkit.cli import main


@pytest.fixture
def in_this_process(monkeypatch):
    """Measurements in this process, without other programs; the clock counts its readings."""
    monkeypatch.setattr(pages.rivals, "found", lambda: ([], ["unpaper is missing: a package"]))
    readings = iter(range(1000))
    monkeypatch.setattr(pages.time, "perf_counter", lambda: float(next(readings)))

    def here(work, *args):
        work(*args)
        return Peak(0, 7_000_000)

    monkeypatch.setattr(pages, "process_peak", here)


def threads():
    return ["--threads", str(torch.get_num_threads())]


def test_the_table_has_every_method_on_every_page(in_this_process, tmp_path, capsys):
    command = ["bench", "pages", "--pages", "40x30", "30x50", "--samples", "2", "--rounds", "2"]
    assert main([*command, "--upscale", "16x24", *threads(), "--out", str(tmp_path)]) == 0
    assert "unpaper is missing: a package." in capsys.readouterr().out
    report = json.loads((tmp_path / "pages-cpu.json").read_text())
    rows = report["rows"]
    assert [(row["page"], row["method"]) for row in rows] == [
        ("40x30", "temperature 0"),
        ("40x30", "2 samples"),
        ("30x50", "temperature 0"),
        ("30x50", "2 samples"),
        ("16x24", "upscale x4, temperature 0"),
    ]
    for row in rows:
        assert row["s"] == 1.0
        assert row["pages/hour"] == 3600
        assert row["peak MB"] == 7.0
    assert rows[0]["s/megapixel"] == pytest.approx(1 / 0.0012)
    assert rows[-1]["times temperature 0"] is None


def test_a_batch_is_one_command(in_this_process, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "DRAWN", 2)
    commands = []

    def command(argv):
        commands.append((argv, len({path.stat().st_ino for path in Path(argv[1]).iterdir()})))

    monkeypatch.setattr(pages, "_command", command)
    options = ["--pages", "40x30", "--samples", "--upscale", "--memory", "800000000", *threads()]
    batch = ["--batch", "1", "3", "--jobs", "2", "auto", "--out", str(tmp_path)]
    assert main(["bench", "pages", *options, *batch]) == 0
    rows = json.loads((tmp_path / "pages-cpu.json").read_text())["rows"][1:]
    assert [(row["method"], row["pages/hour"]) for row in rows] == [
        ("1 page, 2 jobs", 3600),
        ("1 page, auto jobs", 3600),
        ("3 pages, 2 jobs", 3 * 3600),
        ("3 pages, auto jobs", 3 * 3600),
    ]
    assert [row["times temperature 0"] for row in rows] == pytest.approx([1, 1, 1 / 3, 1 / 3])
    assert [different for _, different in commands] == [1, 1, 2, 2]
    asked = [argv[argv.index("--jobs") :] for argv, _ in commands]
    assert ["--memory" in argv for argv in asked] == [True, False, True, False]
    assert asked[0][-2:] == ["--memory", "1600000.000kB"]


def test_a_command_runs_in_its_process_and_fails_there(tmp_path, monkeypatch):
    monkeypatch.setattr(pages.sys, "argv", [])
    Image.new("L", (40, 30), 200).save(tmp_path / "page.png")
    argv = ["binarize", str(tmp_path / "page.png"), "-o", str(tmp_path / "ink.png")]
    pages._command(argv)
    assert (tmp_path / "ink.png").is_file()
    with pytest.raises(SystemExit, match="2"):
        pages._command([*argv, "--format", "png"])


@pytest.mark.parametrize("size", ["2480", "0x5", "axb"])
def test_sizes_that_are_none(size, capsys):
    assert main(["bench", "pages", "--pages", size]) == 2
    assert f'expected sizes such as 2480x3508, got "{size}"' in capsys.readouterr().err


def test_large_pages_are_no_reason_to_warn(in_this_process, monkeypatch):
    measured = pages._measured

    def limited(*args):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 60_000)  # the warm-up draws text
            return measured(*args)

    monkeypatch.setattr(pages, "_measured", limited)
    command = ["bench", "pages", "--pages", "300x250", "--samples", "--upscale", "--rounds", "1"]
    assert main([*command, *threads()]) == 0
