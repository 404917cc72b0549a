"""Super-resolution against images at high resolution, with bicubic interpolation as the floor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.checkpoint import load, trained_on
from flowkit.data import Task, find_images
from flowkit.data.find import report
from flowkit.data.fingerprint import fingerprint
from flowkit.data.page_files import size_of
from flowkit.data.tasks import HighSheet
from flowkit.errors import DataError, FlowkitError, suggest
from flowkit.evaluation.contestants import settings
from flowkit.evaluation.ink import refusals
from flowkit.evaluation.low_resolution import KINDS, PLAIN, Low
from flowkit.evaluation.plan import Wanted
from flowkit.evaluation.reading import Reader, text_of
from flowkit.evaluation.report import Findings, Part
from flowkit.evaluation.results import Entry, Row, summaries
from flowkit.evaluation.sampling import draw
from flowkit.evaluation.task import Job, page_names
from flowkit.flow import ConditionalFlow
from flowkit.images.picture import Picture
from flowkit.metrics import super_resolution as metrics
from flowkit.metrics.ocr import character_error_rate
from flowkit.metrics.super_resolution import Image8
from flowkit.pages.focus import AROUND, ink_mask, load_ink
from flowkit.tables import Cell

FLOOR, CEILING = Entry("bicubic"), Entry("high resolution")

IN_FOCUS = (
    "text_psnr, text_ssim: of what lies within {around} pixels of what {model} takes for ink in the image at "
    "high resolution, {share:.1f} % of all pixels."
)
ABOUT = (
    "Images were reduced {scale} times{how}, and enlarged again. `bicubic` is the floor. With N samples a "
    "score is the mean over the samples; diversity is the standard deviation of a pixel over them, in grey "
    "levels."
)


class SuperResolution:
    """PSNR, SSIM, LR-consistency, diversity and, with a reader, character errors.

    Args:
        wanted: the options; its data are folders of images at high resolution.
        allow_train: whether the model may be scored on images that it was trained on.
        reader: Tesseract, if character error rates are wanted.

    Raises:
        FlowkitError: options are for binarization, or images cannot be used; for images, all problems are
            listed.
    """

    def __init__(self, wanted: Wanted, allow_train: bool = False, reader: Reader | None = None) -> None:
        for option in ("protocol", "baselines", "head", "head_data", "ssn", "ensemble"):
            if getattr(wanted, option):
                name = option.replace("_", "-")
                raise FlowkitError(f"--{name} is for binarization, and {wanted.model} has no ink")
        if not wanted.data:
            raise FlowkitError("--data is missing")
        if tuple(wanted.scales) != (1.0,):
            raise FlowkitError("--scales is for models of ink, and this one super-resolves")
        if unknown := [kind for kind in wanted.low if kind not in KINDS]:
            raise FlowkitError(f'--low: unknown kind "{unknown[0]}"; {suggest(unknown[0], KINDS)}')
        self.wanted = wanted
        self.kinds = tuple(dict.fromkeys(wanted.low))
        self.flow = load(wanted.model)
        self.task = Task.of(self.flow)
        self.reader = reader
        self.own = settings(wanted.model, wanted.counts)
        self.entries = (FLOOR, *self.own, *((CEILING,) if reader else ()))
        several = any(entry.samples != 1 for entry in self.own)
        optional = (("diversity", several), ("cer", reader is not None))
        text = ("text_psnr", "text_ssim") if wanted.focus else ()
        self.scores = ("psnr", "ssim", *text, "consistency", *(name for name, there in optional if there))
        self.sets = {str(Path(folder)): find_images([folder]) for folder in wanted.data}
        self.text: dict[Path, NDArray[np.bool_]] = {}
        self.read: list[str] = []
        self._check({} if allow_train else {wanted.model: trained_on(wanted.model)})
        self.rows: list[Row] = []

    def jobs(self) -> list[Job]:
        """See `Evaluation`."""
        return [
            Job(_label(set_name, kind), name, partial(self._score, set_name, name, image, kind))
            for set_name, images in self.sets.items()
            for kind in self.kinds
            for image, name in page_names(images).items()
        ]

    def findings(self) -> Findings:
        """See `Evaluation`."""
        parts = [self.reader.part()] if self.reader else []
        how = f" ({KINDS[self.kinds[0]].about})"
        if len(self.kinds) > 1:
            how = " in several ways"
            kinds = [f"{kind}: {KINDS[kind].about}." for kind in self.kinds]
            parts.insert(0, Part("Kinds of low resolution", self._by_kind(), kinds))
        about = [ABOUT.format(scale=self.task.scale, how=how)]
        if self.text:
            share = 100 * sum(map(np.sum, self.text.values())) / sum(mask.size for mask in self.text.values())
            about.append(IN_FOCUS.format(around=AROUND, model=self.wanted.ink_model, share=share))
        about += self.read
        return Findings(f"Evaluation of {self.wanted.model}", self.rows, self.own[0], parts, about)

    def _by_kind(self) -> list[dict[str, Cell]]:
        """Return the scores of the floor and of the first entry, a row for each set and kind."""
        mean = {(s.set, s.entry): s.mean for s in summaries(self.rows)}
        rows: list[dict[str, Cell]] = []
        for set_name, kind in itertools.product(self.sets, self.kinds):
            label = _label(set_name, kind)
            floor, own = (mean[label, entry]["psnr"] for entry in (FLOOR, self.own[0]))
            row: dict[str, Cell] = {"set": set_name, "low resolution": kind}
            row |= {"PSNR, bicubic": floor, f"PSNR, {self.own[0]}": own, "gain, dB": own - floor}
            if self.reader is not None:
                for entry in (FLOOR, self.own[0]):
                    row[f"CER %, {entry}"] = character_error_rate(self.reader.texts[label, entry])
            rows.append(row)
        return rows

    def _score(self, set_name: str, name: str, file: Path, kind: str) -> list[Row]:
        set_name = _label(set_name, kind)
        high = self._high(file)
        low = KINDS[kind].make(high, self.task.scale, self.wanted.seed)
        size = high.shape[1], high.shape[0]
        bicubic = np.asarray(Image.fromarray(low).resize(size, Image.Resampling.BICUBIC))
        made = {FLOOR: bicubic[None]}
        most = {t: numbers[-1] for t, numbers in self.wanted.counts.items()}
        drawn = draw(self.flow, Picture(low if low.ndim == 3 else low[..., None]), most, self.wanted.seed)
        for entry in self.own:
            assert entry.temperature is not None
            made[entry] = _levels(drawn[entry.temperature][: entry.samples])
        text = self.text.get(file)
        rows = [
            Row(set_name, name, entry, self._scores(images, high, low, text, KINDS[kind]))
            for entry, images in made.items()
        ]
        if self.reader is not None:
            truth = text_of(file)
            read = {entry: self.reader.score(set_name, entry, made[entry], truth) for entry in made}
            rows = [replace(row, scores={**row.scores, "cer": read[row.entry]}) for row in rows]
            if kind == self.kinds[0]:  # it is the same for all
                ceiling = self.reader.score(set_name, CEILING, high[None], truth)
                rows.append(Row(set_name, name, CEILING, {"cer": ceiling}))
        self.rows += rows
        return rows

    def _scores(
        self, images: Image8, high: Image8, low: Image8, text: NDArray[np.bool_] | None, kind: Low
    ) -> dict[str, float]:
        scores = {
            "psnr": fmean(metrics.psnr(image, high) for image in images),
            "ssim": fmean(metrics.ssim(image, high) for image in images),
        }
        if not kind.worse:  # an image that agrees with the noise would not be better
            of_each = (metrics.consistency(image, low, self.task.scale, kind.kernel) for image in images)
            scores["consistency"] = fmean(of_each)
        if text is not None:
            scores["text_psnr"] = fmean(metrics.psnr(image, high, text) for image in images)
            scores["text_ssim"] = fmean(metrics.ssim(image, high, text) for image in images)
        return scores | ({"diversity": metrics.diversity(images)} if len(images) > 1 else {})

    def _high(self, file: Path) -> Image8:
        """Cut an image to a size that can be reduced; make it grey for a model of one channel."""
        high: Image8 = HighSheet(file, self.task).read().target
        if self.task.target_channels == 1:
            high = np.asarray(Image.fromarray(high).convert("L"))
        if min(high.shape[:2]) < metrics.WINDOW:
            raise DataError(f"{file}: is {size_of(high)}, SSIM needs {metrics.WINDOW} x {metrics.WINDOW}")
        return high

    def _near_ink(self, file: Path, high: Image8, model: ConditionalFlow) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = (
            ink_mask(Picture(high.reshape(*high.shape[:2], -1)), model).pixels[..., 0] > 127
        )
        if not near[metrics.MARGIN : -metrics.MARGIN, metrics.MARGIN : -metrics.MARGIN].any():
            raise DataError(f"{file}: --focus ink needs text, but {self.wanted.ink_model} finds no ink")
        return near

    def _check(self, seen: Mapping[str, frozenset[str]]) -> None:
        problems = []
        ink_model = load_ink(self.wanted.ink_model) if self.wanted.focus else None
        for image in (image for images in self.sets.values() for image in images):
            try:
                page = HighSheet(image, self.task).read()
                mark = fingerprint(page.target) if seen else ""
                high = self._high(image)
                if ink_model is not None:
                    self.text[image] = self._near_ink(image, high, ink_model)
                if self.reader is not None:
                    text_of(image)
            except DataError as error:
                problems.append(str(error))
            else:
                problems += refusals(str(image), mark, seen)
                self.read += [f"{image}: {note}." for note in page.notes]
        report(problems)


def _label(set_name: str, kind: str) -> str:
    return set_name if kind == PLAIN else f"{set_name} {kind}"


def _levels(values: NDArray[np.float32]) -> Image8:
    """Turn (N, C, H, W) in [0, 1] into 8 bits, as files have: (N, H, W, 3), or (N, H, W) for one channel."""
    levels: Image8 = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return levels[:, 0] if levels.shape[1] == 1 else levels.transpose(0, 2, 3, 1)
