from __future__ import annotations

import json
from argparse import Namespace

import pytest
import torch

from flowkit.bench.report import Report
from flowkit.cli import main
from flowkit.cli.bench import run
from flowkit.errors import FlowkitError, OutputError
from flowkit.tables import environment

ROWS = [{"what": "a | b", "ms": 1234.5}, {"what": "c", "ms": None, "share": 0.01234, "calls": 12345}]


def test_the_table_has_every_column_of_every_row():
    lines = Report("x", "T", ROWS, ["Medians."], {"threads": 2, "cuda": None}).markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "|" in line]
    assert cells[0] == ["what", "ms", "share", "calls"]
    assert cells[2] == [r"a \| b", "1,234", "", ""]
    assert cells[3] == ["c", "", "0.0123", "12345"]
    assert lines[-3:] == ["Medians.", "", "- threads: 2"]


def test_json_and_markdown_are_written_and_replaced(tmp_path):
    Report("op-cpu", "first", []).save(tmp_path / "new" / "results")
    paths = Report("op-cpu", "second", ROWS).save(tmp_path / "new" / "results")
    assert sorted(paths) == sorted((tmp_path / "new" / "results").iterdir())
    values = json.loads(paths[0].read_text())
    assert values["rows"] == ROWS
    assert values["environment"]["torch"] == torch.__version__
    assert paths[1].read_text().startswith("# second\n")


def test_a_figure_that_is_none_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Report("x", "T", [{"ms": float("nan")}]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        Report("x", "T", ROWS).save(tmp_path / "file")


def test_the_environment_says_how_many_threads():
    assert environment()["threads"] == torch.get_num_threads()
    assert environment()["processor"]


def test_a_device_that_is_not_there():
    with pytest.raises(FlowkitError, match='device "abacus" cannot be used'):
        run(Namespace(device="abacus"))


def test_a_table_that_is_not_there(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "sculpture"])
    assert "invalid choice" in capsys.readouterr().err
