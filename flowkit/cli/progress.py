"""Progress of a batch on the terminal: results, notes, failures, remaining time."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import Any

from tqdm import tqdm

from flowkit.batch import Record, Run
from flowkit.batch.report import REPORT
from flowkit.errors import FlowkitError, printable

MINUTE = 60.0  # seconds
_FORMAT = "{percentage:3.0f}%|{bar}| {pages} of {total} pages, {speed} pages/min [{elapsed}<{remaining}]"


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar that counts pages, and shows the part of one that is done.

    Args:
        total: pages in all.
        before: pages that were done before this run; they do not count for the speed.
        quiet: show nothing. Without it, it shows nothing where stderr is not a terminal.
    """

    def __init__(self, total: int, before: int, *, quiet: bool) -> None:
        self.finished = before
        super().__init__(total=total, initial=before, leave=False, disable=quiet or None, bar_format=_FORMAT)

    @property
    def format_dict(self) -> dict[str, Any]:
        """Return the values of `_FORMAT`."""
        known = super().format_dict
        done, elapsed = known["n"] - known["initial"], known["elapsed"]
        speed = f"{60 * done / elapsed:.1f}" if done and elapsed else "?"
        return {**known, "pages": self.finished, "speed": speed}

    def part(self, done: int, total: int) -> None:
        """Show that so much of the current page is done."""
        self.update(self.finished + done / max(1, total) - self.n)

    def page(self) -> None:
        """Count a page that is done."""
        self.finished += 1
        self.update(self.finished - self.n)


class Display:
    """Prints a line for every page, on standard output; all else goes to standard error.

    On a terminal a bar shows how far the run is, elsewhere a line every minute. After the first page, a line
    tells how long the rest will take, if that is more than a minute.

    Args:
        quiet: do not show how far it is.
        json: print records as JSON in place of words.
    """

    def __init__(self, *, quiet: bool, json: bool = False) -> None:
        self.json = json
        self.jobs = 1
        self.quiet = quiet
        self.bar: Bar | None = None
        self.total = self.before = 0
        self.failures: list[str] = []
        self.began = self.told = monotonic()
        self._noted: set[tuple[str, str]] = set()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def begin(self, run: Run, out: str) -> None:
        """Show what there is to do."""
        self.total = run.total
        self.jobs = run.jobs
        self.failures += run.problems
        for line in (*run.problems, *run.notes):
            self._say(line)
        again = "(--overwrite does them again)"
        if run.done:
            self._say(f"{run.done} of {run.total} pages are done already {again}")
        if run.kept:
            found = f"{run.kept} of {run.total} pages are in {out}, but not in its {REPORT}"
            self._say(f"{found}: they are kept {again}")
        self.before = run.done + run.kept
        self.bar = Bar(run.total, self.before, quiet=self.quiet)
        self.began = self.told = monotonic()

    def part(self, done: int, total: int) -> None:
        """Show how far the page is that is worked on."""
        if self.bar is not None:
            self.bar.part(done, total)
            self._tell(self.bar.finished - self.before + done / max(1, total))

    def show(self, record: Record, result: str) -> None:
        """Show what became of a page, or of a document."""
        assert self.bar is not None
        if record.status != "bound":
            self.bar.page()
            done = self.bar.finished - self.before
            if done == 1:
                self._foretell(record.seconds or 0.0)
            self._tell(done)
        if self.json:
            self._print(record.to_json())
        if record.error is not None:
            self.failures.append(record.error)
            if self.total > 1:
                self._say(record.error)
            return
        for note in record.notes:
            if (record.input, note) not in self._noted:  # of a document of a thousand pages, one is enough
                self._noted.add((record.input, note))
                self._say(f"{record.name}: {note}")
        if record.status == "done" and not self.json:
            is_part = record.files["result"].path != record.output  # of a document
            page = f" page {record.page}:" if is_part else ""
            self._print(printable(f"{result}:{page} {described(record)}"))

    def end(self, run: Run) -> int:
        """Show the failures again; return 0, or 1 if there are any.

        Raises:
            FlowkitError: the failure of an only page that is no part of a folder.
        """
        total = run.total + len(run.problems)
        if not self.failures:
            return 0
        if total == 1 and not run.is_folder:
            raise FlowkitError(printable(self.failures[0]))
        self._say(f"{len(self.failures)} of {total} pages failed:")
        for failure in self.failures:
            print(f"  {printable(failure)}", file=sys.stderr)
        for out in run.unwritten:
            self._say(f"{out}: not written, because pages of it failed")
        return 1

    def _foretell(self, seconds: float) -> None:
        """Print how long the other pages will take, if a minute or more, from the seconds of the first."""
        left = self.total - self.before - 1
        estimate = seconds * left / max(1, min(self.jobs, left))
        if estimate >= MINUTE and not self.quiet:
            self._say(f"{left} more pages will take about {duration(estimate)}")

    def _tell(self, done: float) -> None:
        """Print every minute how far the run is, where there is no bar; `done` pages are from this run."""
        now = monotonic()
        if self.quiet or self.bar is None or not self.bar.disable or not done or now - self.told < MINUTE:
            return
        self.told = now
        a_page = (now - self.began) / done
        left = duration(a_page * (self.total - self.before - done))
        pages = f"{self.bar.finished} of {self.total} pages"
        self._say(f"{pages}, {MINUTE / a_page:.1f} pages/min, about {left} left")

    def _print(self, line: str) -> None:
        Bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    def _say(self, message: str) -> None:
        Bar.write(f"flowkit: {printable(message)}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return a time in the unit that one would use.

    >>> duration(80), duration(600), duration(1e4), duration(1e6)
    ('80 seconds', '10 minutes', '2.8 hours', '11.6 days')
    """
    for unit, length in (("seconds", 1.0), ("minutes", MINUTE), ("hours", 60 * MINUTE)):
        if seconds < 90 * length:
            return f"{seconds / length:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds / (24 * 60 * MINUTE):.1f} days"


def described(record: Record) -> str:
    """Return size, dpi and figures of a result, in some words."""
    text = f"{record.width} x {record.height}, "
    if record.dpi is None:
        text += "no dpi"
    else:
        across, down = record.dpi
        text += f"{across:g} dpi" if across == down else f"{across:g} x {down:g} dpi"
    if record.ink is not None:
        text += f", {100 * record.ink:.1f} % ink"
    return text if record.review is None else f"{text}, review score {record.review:.3f}"
