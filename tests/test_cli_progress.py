"""The progress bar of a run: pages, pages per minute, and what was done before."""

from __future__ import annotations

import io

import pytest

from flowkit.cli.progress import Bar


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


def test_there_is_none_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(2, 0, quiet=False) as bar:
        bar.part(1, 2)
        bar.page()
    assert capsys.readouterr().err == ""
