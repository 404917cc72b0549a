"""The progress bar of a run over pages: pages per minute, and when it will be over."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

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
