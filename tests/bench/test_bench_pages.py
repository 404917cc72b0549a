from __future__ import annotations

import json

import pytest
import torch

from flowkit.bench import pages
from flowkit.bench.memory import Peak
from flowkit.cli import main


@pytest.fixture
def in_this_process(monkeypatch):
    """Measurements without processes of their own, and without doxapy; the clock counts its readings."""
    find = pages.importlib.util.find_spec
    monkeypatch.setattr(pages.importlib.util, "find_spec", lambda n: None if n == "doxapy" else find(n))
    readings = iter(range(1000))
    monkeypatch.setattr(pages.time, "perf_counter", lambda: float(next(readings)))

    def here(work, *args):
        work(*args)
        return Peak(0, 7_000_000)

    monkeypatch.setattr(pages, "process_peak", here)


def test_the_table_has_every_method_on_every_page(in_this_process, tmp_path, capsys):
    command = ["bench", "pages", "--pages", "40x30", "30x50", "--samples", "2", "--rounds", "2"]
    assert main([*command, "--threads", str(torch.get_num_threads()), "--out", str(tmp_path)]) == 0
    assert "The classical methods are missing: pip install doxapy" in capsys.readouterr().out
    report = json.loads((tmp_path / "pages-cpu.json").read_text())
    rows = report["rows"]
    assert [(row["page"], row["method"]) for row in rows] == [
        ("40x30", "temperature 0"),
        ("40x30", "2 samples"),
        ("30x50", "temperature 0"),
        ("30x50", "2 samples"),
    ]
    for row in rows:
        assert row["s"] == 1.0
        assert row["peak MB"] == 7.0
    assert rows[0]["s/megapixel"] == pytest.approx(1 / 0.0012)


@pytest.mark.parametrize("size", ["2480", "0x5", "axb"])
def test_sizes_that_are_none(size, capsys):
    assert main(["bench", "pages", "--pages", size]) == 2
    assert f'expected sizes such as 2480x3508, got "{size}"' in capsys.readouterr().err


def test_large_pages_are_no_reason_to_warn(in_this_process, monkeypatch):
    measured = pages._measured

    def limited(*args):
        with monkeypatch.context() as patch:
            patch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
            return measured(*args)

    monkeypatch.setattr(pages, "_measured", limited)
    command = ["bench", "pages", "--pages", "40x30", "--samples", "--rounds", "1"]
    assert main([*command, "--threads", str(torch.get_num_threads())]) == 0
