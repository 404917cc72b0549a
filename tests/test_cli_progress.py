"""How far a run is: pages, pages per minute, and when it will be over."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import cast

import pytest

from flowkit.batch import Record, Run
from flowkit.cli.progress import Bar, Display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_parts_of_pages_count_and_earlier_pages_do_not_make_it_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setattr(Bar, "monitor_interval", 0)  # no thread
    with Bar(20, 5, quiet=False) as bar:
        now[0] = 130.0
        bar.part(1, 2)
        assert "5 of 20 pages, 1.0 pages/min [00:30<14:30]" in str(bar)
        bar.page()
        assert "6 of 20 pages, 2.0 pages/min [00:30<" in str(bar)
        assert str(bar).startswith(" 30%|")


def test_there_is_no_bar_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(2, 0, quiet=False) as bar:
        bar.part(1, 2)
        bar.page()
    assert capsys.readouterr().err == ""


class Now:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        monkeypatch.setattr("flowkit.cli.progress.monotonic", lambda: self.seconds)


def run_of(total: int, done: int, jobs: int = 1) -> Run:
    return cast(Run, SimpleNamespace(total=total, done=done, jobs=jobs, kept=0, problems=[], notes=[]))


def record_of(number: int, seconds: float) -> Record:
    return Record(input=f"{number}.png", page=None, output="", status="failed", error="odd", seconds=seconds)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    said = capsys.readouterr().err.splitlines()
    return [line.removeprefix("flowkit: ") for line in said if "pages" in line and "done already" not in line]


@pytest.mark.parametrize("jobs", [1, 4])
def test_in_redirected_output_there_is_a_line_a_minute(
    jobs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = Now(monkeypatch)
    with Display(quiet=False) as display:
        display.begin(run_of(105, 5, jobs), "out")
        now.seconds += 20
        display.part(1, 2)
        assert lines(capsys) == []
        now.seconds += 20
        display.show(record_of(0, 40.0), "out/0.png")
        left = {1: "66 minutes", 4: "16 minutes"}[jobs]
        assert lines(capsys) == [f"99 more pages will take about {left}"]
        now.seconds += 19
        display.show(record_of(1, 19.0), "out/1.png")
        assert lines(capsys) == []
        now.seconds += 1  # a minute, and 2.5 pages
        display.part(1, 2)
        assert lines(capsys) == ["7 of 105 pages, 2.5 pages/min, about 39 minutes left"]
        display.part(2, 2)
        now.seconds += 59
        display.part(1, 4)
        assert lines(capsys) == []
        now.seconds += 1
        display.show(record_of(2, 60.0), "out/2.png")
        assert lines(capsys) == ["8 of 105 pages, 1.5 pages/min, about 65 minutes left"]


@pytest.mark.parametrize(("quiet", "seconds"), [(True, 40.0), (False, 0.5)])
def test_nothing_is_foretold_where_it_is_not_wanted_or_not_long(
    quiet: bool, seconds: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = Now(monkeypatch)
    with Display(quiet=quiet) as display:
        display.begin(run_of(100, 0), "out")
        display.show(record_of(0, seconds), "out/0.png")
        if quiet:
            now.seconds += 1000
            display.part(1, 2)
        assert lines(capsys) == []


def test_on_a_terminal_the_rest_is_foretold_and_the_bar_tells_the_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, terminal = Now(monkeypatch), Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(Bar, "monitor_interval", 0)  # no thread
    with Display(quiet=False) as display:
        display.begin(run_of(100, 0), "out")
        now.seconds += 70
        display.show(record_of(0, 70.0), "out/0.png")
        assert "flowkit: 99 more pages will take about 1.9 hours" in terminal.getvalue()
        assert "left" not in terminal.getvalue()
        assert "1 of 100 pages" in str(display.bar)
