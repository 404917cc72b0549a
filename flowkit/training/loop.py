"""The training loop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from flowkit.errors import FlowkitError, OutputError
from flowkit.files import replacing
from flowkit.flow import ConditionalFlow
from flowkit.images.writer import write_picture
from flowkit.recipe import Recipe
from flowkit.training.average import Average
from flowkit.training.data_order import Batch
from flowkit.training.job import Data, Job, Validate
from flowkit.training.log import Log
from flowkit.training.pictures import SAMPLES, sample_grid, write_curves
from flowkit.training.preflight import check_out, check_room
from flowkit.training.processes import Processes, processes
from flowkit.training.signals import Interrupted, interruption
from flowkit.training.state import CHECKPOINTS, RECENT, Keeper, Progress, size_of
from flowkit.training.step import Outcome

RECIPE = "recipe.yaml"
MOST_SKIPPED = 20  # steps that were not finite, among the last `RECENT`


def train(
    recipe: Recipe,
    data: Data,
    out: str | os.PathLike[str],
    *,
    validation: Validate = None,
    init: str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: str = "cpu",
    workers: int | None = None,
    tensorboard: bool = False,
    quiet: bool = False,
) -> ConditionalFlow:
    """Train a recipe's flow by maximum likelihood; return it with its averaged weights, in eval mode.

    Under `torchrun`, every process calls this; the first one writes.

    Args:
        recipe: of the model; its `train` section has the options of the training.
        data: folders, data files (docs/reference/data.md) or `flowkit.data.Source`s of pages and their
            truths, or, for super-resolution, of images at high resolution. Or data of your own with any
            number of channels: pairs (image, target) of tensors or arrays (C, H, W) with values that the
                model takes, a
            map-style `torch.utils.data.Dataset` of such pairs, or a function from a sample's index to one.
        out: a new folder for the run.
        validation: a share of `data`, or other data of the same kind.
        init: initial weights: a flowkit checkpoint of the same model, or RRDB weights for the encoder.
        resume: continue from the latest checkpoint, with the losses of an uninterrupted run; the recipe's
            `train` section may have changed.
        device: name of the device, such as `cpu` or `cuda:1`.
        workers: number of processes that prepare data, for each that trains; by default by the number of
            cores.
        tensorboard: also write TensorBoard's files into the run's folder.
        quiet: show no progress bar.

    Raises:
        DataError, CheckpointError, OutputError, RecipeError: before the first step, wherever possible.
        FlowkitError: the loss is not finite in too many steps.
        KeyboardInterrupt: on SIGINT, after a checkpoint.
        SystemExit: with code 0 on SIGTERM, after a checkpoint.
    """
    with processes(device) as group:
        if group.first:
            check_out(Path(out), resume=resume)
        group.wait()
        job = Job(recipe, data, group, validation=validation, init=init, workers=workers)
        run = Run(job, Path(out), resume=resume)
        run.go(quiet=quiet, tensorboard=tensorboard)
    job.model.load_state_dict(run.average.state)
    return job.model.eval()


class Run:
    """A job in progress, with everything that its checkpoints hold.

    Args:
        job: the training.
        out: the run's folder.
        resume: continue from the latest checkpoint there.

    Raises:
        OutputError, CheckpointError: there is no disk space, or no checkpoint to resume from.
    """

    def __init__(self, job: Job, out: Path, *, resume: bool = False) -> None:
        self.job = job
        self.out = out
        self.options = job.options
        self.processes: Processes = job.processes
        self.average = Average(job.model, self.options.ema)
        self.keeper = Keeper(out, job.recipe, self.options.keep, job.data.fingerprints, job.seen_before)
        self.progress = Progress()
        if resume:
            self.progress = self.keeper.restore(job.stepper, self.average)
        if self.processes.first:
            check_room(out, size_of(job.stepper), self.options.keep)

    def go(self, *, quiet: bool = True, tensorboard: bool = False) -> None:
        """Train to the last step, saving on the way, at the end, and when interrupted (SIGINT, SIGTERM)."""
        log = self._open(quiet=quiet, tensorboard=tensorboard) if self.processes.first else None
        if log:
            for note in self.job.data.notes:
                log.say(note)
        remaining = max(0, self.options.steps - self.progress.step)
        data = self.job.batches(self.progress.position, remaining)
        if not remaining:
            self.save(log, must=True)  # the run before may have been interrupted at its last file
        with interruption() as interrupted, closing(data):
            while self.progress.step < self.options.steps:
                begin = time.monotonic()
                passes = [next(data) for _ in range(self.options.accumulate)]
                waited = time.monotonic() - begin
                outcome = self.advance(passes)
                if log:
                    log.show(outcome.bits, outcome.gradient, waited)
                if log and self._due(self.options.log_every):
                    log.write(self.progress.step, {**self._figures(outcome), **log.speed()})
                improved = self._validate(log)
                stop = self._agree(interrupted)
                last = self.progress.step == self.options.steps
                if self._due(self.options.save_every) or improved or stop:
                    self.save(log, best=improved, must=bool(stop) or last)
                if stop:
                    self._stop(stop, log)
        self._finish(log)

    def advance(self, passes: list[Batch]) -> Outcome:
        """Take one step; count it if it is not finite. Too many such steps end the run.

        Raises:
            FlowkitError: `MOST_SKIPPED` of the last `RECENT` steps were not finite.
        """
        progress = self.progress
        outcome = self.job.take(progress.step, progress.position, passes)
        progress.step += 1
        progress.position += self.job.order.per_step
        if outcome.finite:
            self.average.update(self.job.model, progress.step)
            return outcome
        progress.skip()
        if len(progress.skipped) >= MOST_SKIPPED:
            progress.skipped = []  # the user changed an option before resuming
            self.save(None, must=True)
            raise FlowkitError(
                f"training: {MOST_SKIPPED} of the last {RECENT} steps up to step {progress.step} had a loss "
                "or gradient that was not finite; they changed nothing, and the latest checkpoint in "
                f"{self.out / CHECKPOINTS} is sound: resume with a lower train.lr or a longer "
                "train.warmup, with train.precision float32 if it was not, or look at the data"
            )
        return outcome

    def save(self, log: Log | None, *, best: bool = False, must: bool = False) -> None:
        """Write a checkpoint, from the first process.

        Raises:
            OutputError: it cannot be written, and `must` is true; otherwise the error is printed, and the run
            continues.
        """
        if not self.processes.first:
            return
        try:
            self.keeper.save(self.job.stepper, self.average, self.progress, best=best)
        except OutputError as error:
            if must or log is None:
                raise
            log.say(f"{error}; going on, the checkpoints before it are whole")

    def _open(self, *, quiet: bool, tensorboard: bool) -> Log:
        """Make the folder and its first files."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.out}: cannot be made a folder ({error.strerror})") from None
        self.keeper.tidy()
        with replacing(self.out / RECIPE) as draft:
            draft.write_text(self.job.recipe.text())
        step, steps = self.progress.step, self.options.steps
        nll_of = self.job.model.target.nll_of
        return Log(self.out, nll_of, step, steps, quiet=quiet, tensorboard=tensorboard)

    def _due(self, every: int) -> bool:
        last = self.progress.step == self.options.steps
        return every > 0 and (self.progress.step % every == 0 or last)

    def _figures(self, outcome: Outcome) -> dict[str, float]:
        figures = {
            "bits_per_dim": outcome.bits,
            "gradient": outcome.gradient,
            "learning_rate": self.job.stepper.optimizer.param_groups[0]["lr"],
        }
        if set(self.options.losses) != {"nll"}:
            figures["loss"] = outcome.loss
        return figures | {"skipped": self.progress.skipped_in_all}

    def _validate(self, log: Log | None) -> bool:
        """Score the averaged weights when they are due; return true if they are the best so far."""
        if not self.job.validation or not self._due(self.options.validate_every):
            return False
        model = self.average.model
        scores = self.job.validation.score(model, self.processes)
        if log:
            figures = {f"validation_{name}": score for name, score in scores.items()}
            log.write(self.progress.step, figures)
            picture = sample_grid(model, self.job.validation, self.processes.device)
            log.picture(self.progress.step, picture)
            self._try(log, lambda: write_picture(self.out / SAMPLES, picture))
        improved = scores["bits_per_dim"] < self.progress.best
        if improved:
            self.progress.best = scores["bits_per_dim"]
        return improved

    def _agree(self, interrupted: Interrupted) -> int:
        """Return the signal that reached any of the processes, or 0, so that all stop after the same step."""
        came = [float(interrupted.number == number) for number in (signal.SIGINT, signal.SIGTERM)]
        by_user, by_system = self.processes.sums(came)
        return signal.SIGINT if by_user else signal.SIGTERM if by_system else 0

    def _stop(self, number: int, log: Log | None) -> None:
        if log:
            log.close()
            log.say(f"stopped after step {self.progress.step}; --resume goes on from there")
        if number == signal.SIGTERM:
            raise SystemExit(0)
        raise KeyboardInterrupt

    def _finish(self, log: Log | None) -> None:
        if log:
            log.close()
            self._try(log, lambda: write_curves(self.out))
        self.processes.wait()

    def _try(self, log: Log, write: Callable[[], None]) -> None:
        """Write a file without which the run can continue."""
        try:
            write()
        except OutputError as error:
            log.say(str(error))
