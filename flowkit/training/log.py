"""The log of a run: a progress bar, `metrics.jsonl`, TensorBoard's files."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from flowkit.errors import FlowkitError, printable_lines
from flowkit.files import replacing

LOG = "metrics.jsonl"
BOARD = "tensorboard"


class Log:
    """A writer of a run's figures to all requested places.

    Args:
        out: the run's folder.
        nll_of: the kind of the negative log-likelihood, written into every line.
        step: number of steps taken before; lines of later steps come from an interrupted run, and are
            removed.
        steps: number of all steps.
        quiet: no progress bar.
        tensorboard: also write TensorBoard's files.
    """

    def __init__(
        self, out: Path, nll_of: str, step: int, steps: int, *, quiet: bool, tensorboard: bool
    ) -> None:
        self.nll_of = nll_of
        self.path = out / LOG
        self.board = board(out / BOARD, step) if tensorboard else None
        self._forget_after(step)
        self.bar = tqdm(total=steps, initial=step, unit="step", disable=quiet, smoothing=0.05)
        self._since, self._steps, self._waited = time.monotonic(), 0, 0.0

    def show(self, bits: float, gradient: float, waited: float) -> None:
        """Advance the progress bar; `waited` seconds of the step were spent on waiting for data."""
        self._steps += 1
        self._waited += waited
        self.bar.set_postfix_str(f"{bits:.4f} bits/dim, gradient {gradient:.2f}", refresh=False)
        self.bar.update()

    def speed(self) -> dict[str, float]:
        """Return steps per second and the share of time spent waiting for data, since the last call."""
        now = time.monotonic()
        spent = max(now - self._since, 1e-9)
        figures = {"steps_per_s": self._steps / spent, "waiting": self._waited / spent}
        self._since, self._steps, self._waited = now, 0, 0.0
        return figures

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Write a line of figures. If it cannot be written, print a message and continue."""
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, "target": self.nll_of, **figures}) + "\n")
            if self.board:
                for name, value in figures.items():
                    self.board.add_scalar(name.replace("validation_", "validation/"), value, step)
        except OSError as error:
            self.say(f"{self.path}: cannot be written ({error.strerror})")

    def picture(self, step: int, image: np.ndarray) -> None:
        """Write an image (H, W, 3), 8-bit, for TensorBoard."""
        if self.board:
            with suppress(OSError):
                self.board.add_image("samples", image, step, dataformats="HWC")

    def say(self, message: str) -> None:
        """Print a line below the progress bar."""
        tqdm.write(f"flowkit: {printable_lines(message)}", file=sys.stderr)

    def close(self) -> None:
        """Close the progress bar and TensorBoard's file."""
        self.bar.close()
        if self.board:
            with suppress(OSError):
                self.board.close()

    def _forget_after(self, step: int) -> None:
        lines = read_log(self.path)
        if any(line["step"] > step for line in lines) or self.path.is_file():
            with replacing(self.path) as draft:
                draft.write_text("".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; a line that a killed run left unfinished is skipped."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return lines


def board(folder: Path, step: int) -> Any:
    """Return TensorBoard's writer; its entries of later steps are hidden.

    Raises:
        FlowkitError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise FlowkitError(
            "--tensorboard needs tensorboard, which is not installed: pip install 'flowkit-nf[train]'"
        ) from None
    return SummaryWriter(str(folder), purge_step=step)
