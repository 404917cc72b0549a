"""What is shown of a batch while it goes on: results, notes, failures, and how far it is."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

from flowkit.batch import Record, Run
from flowkit.batch.report import REPORT
from flowkit.errors import FlowkitError, printable

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
        """What `_FORMAT` may name."""
        known = super().format_dict
        done, elapsed = known["n"] - known["initial"], known["elapsed"]
        speed = f"{60 * done / elapsed:.1f}" if done and elapsed else "?"
        return {**known, "pages": self.finished, "speed": speed}

    def part(self, done: int, total: int) -> None:
        """So much of the current page is done."""
        self.update(self.finished + done / max(1, total) - self.n)

    def page(self) -> None:
        """A page is done."""
        self.finished += 1
        self.update(self.finished - self.n)


class Display:
    """Prints a line for every page, on standard output; all else goes to standard error.

    Args:
        quiet: no progress bar.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.bar: Bar | None = None
        self.total = 0
        self.failures: list[str] = []

    def __enter__(self) -> Display:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def begin(self, run: Run, out: str) -> None:
        """Show what there is to do."""
        self.total = run.total
        self.failures += run.problems
        for problem in run.problems:
            self._say(problem)
        again = "(--overwrite does them again)"
        if run.done:
            self._say(f"{run.done} of {run.total} pages are done already {again}")
        if run.kept:
            self._say(f"{run.kept} of {run.total} pages are in {out} and in no {REPORT}: they stay {again}")
        self.bar = Bar(run.total, run.done + run.kept, quiet=self.quiet)

    def part(self, done: int, total: int) -> None:
        """Show how far the page is that is worked on."""
        if self.bar is not None:
            self.bar.part(done, total)

    def show(self, record: Record, result: str) -> None:
        """Show what became of a page, or of a document."""
        assert self.bar is not None
        if record.status != "bound":
            self.bar.page()
        if record.error is not None:
            self.failures.append(record.error)
            if self.total > 1:
                self._say(record.error)
            return
        for note in record.notes:
            self._say(f"{record.name}: {note}")
        if record.status == "done":
            is_part = record.files["result"].path != record.output  # of a document
            page = f" page {record.page}:" if is_part else ""
            Bar.write(printable(f"{result}:{page} {described(record)}"), file=sys.stdout)
            sys.stdout.flush()

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

    def _say(self, message: str) -> None:
        Bar.write(f"flowkit: {printable(message)}", file=sys.stderr)


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
