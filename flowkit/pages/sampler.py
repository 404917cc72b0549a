"""Samples of a whole page of any size, tile by tile without seams: the page has one latent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowkit.errors import MemoryLimitError, NotFiniteError
from flowkit.flow import ConditionalFlow
from flowkit.flow.fast_decode import Decoder, Margins
from flowkit.flow.passes import to_latents
from flowkit.images.picture import Picture
from flowkit.layers import FlowLayer
from flowkit.layers.common_factor import Sums
from flowkit.layers.features import Features, in_type_of
from flowkit.layers.network import condition
from flowkit.pages.crew import AHEAD, Part, one_thread_each, share
from flowkit.pages.cutting import best_window, cut_parts, divided
from flowkit.pages.inference import inference
from flowkit.pages.memory import (
    HALVINGS,
    LOW,
    MEMORY,
    PROCESS,
    TOGETHER,
    WEIGHTS,
    Cut,
    choose,
    needs,
    weights_of,
)
from flowkit.pages.page_features import PageFeatures, StreamedFeatures, WindowFeatures
from flowkit.pages.page_latents import PageLatents
from flowkit.pages.precision import Precision, resolved
from flowkit.pages.tiles import (
    WINDOW,
    Span,
    Tile,
    moved,
    round_up,
)


class Piece(NamedTuple):
    """The core of a tile of one sample: y (C, h, w), on the CPU, at rows x cols of the target."""

    rows: slice
    cols: slice
    y: Tensor


class PageSampler:
    """p(y | page) for a page that is too large to be processed at once.

        for tile in sampler.tiles:
            for piece in sampler.draw(tile, range(16)):      # the same sample in every tile fits together
                page[piece.rows, piece.cols] = piece.y

    The page is padded below and to the right, by its own edge, to what the model takes; pieces come without.

    Args:
        model: any flow.
        picture: the page.
        seed: of the latents.
        memory: bytes that the process may need at its highest.
        results: of these, what the caller keeps for itself.
        core: largest side of a tile's core, in image pixels, instead of what memory and caches suggest. A
            model with layers that read the whole image takes the page in one piece all the same.
        precision: of the encoder and, on a CPU, of the networks that read its features. What is done to
            latents is computed in the model's own, and densities are, too, but for the encoder.
        where: the cells of SIDE x SIDE pixels that are to be computed, see `flowkit.pages.blank`; None for
            all. Tiles hold these, and some of what is between them.

    Raises:
        FlowkitError: the device does not compute in this precision.
        MemoryLimitError: even the smallest tiles need more.

    Attributes:
        size: height and width of the target.
        parts: of the page, that are computed; their windows are what an encoder with a stream sees.
        workers: number of threads that can work on it side by side within the memory.
    """

    def __init__(
        self,
        model: ConditionalFlow,
        picture: Picture,
        *,
        seed: int,
        memory: int = MEMORY,
        results: int = 0,
        core: int | None = None,
        precision: Precision = "float32",
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        self.precision = resolved(precision, next(model.parameters()).device.type)
        self.model = model
        self.picture = picture
        self.size = picture.size[0] * model.scale, picture.size[1] * model.scale
        self.latents = PageLatents(model, seed)
        with inference(model):
            self.decoder = Decoder(model, self._layers())
        self.padded = round_up(picture.size[0], model.multiple), round_up(picture.size[1], model.multiple)
        self.together, self.workers = TOGETHER, 1
        self._part_of: dict[Tile, int] = {}  # of each tile; none of a blank page
        self._divide(where, streamed=model.encoder.stream() is not None)
        if core is not None or model.whole_image:
            self._cut(core or max(self.padded), WINDOW)
        if core is not None or not self.parts:
            return
        try:
            self._plan(memory, results)
        except MemoryLimitError:
            if not self.streamed:
                raise
            self._divide(where, streamed=False)  # windows need no rows of the whole width
            self._plan(memory, results)

    def _divide(self, where: NDArray[np.bool_] | None, *, streamed: bool) -> None:
        """Divide the page into parts, whose features come from a stream or from windows."""
        self.streamed = streamed
        self.parts = divided(self.model, self.padded, where, streamed=streamed)
        self._features = [self._features_of(part) for part in self.parts]

    @property
    def tiles(self) -> list[Tile]:
        """Return the tiles of the page, in the order in which they are quickest."""
        return list(self._part_of)

    def _features_of(self, part: Tile) -> PageFeatures:
        """Make the features of a part of the page, which begins at its window's first pixel."""
        if not self.streamed:
            return WindowFeatures(self.model.encoder, self._window)
        top, left = part.rows.first, part.cols.first

        def window(rows: Span, cols: Span) -> Tensor:
            return self._window(*moved(Tile(rows, cols), top, left))

        sides = part.rows.last - top, part.cols.last - left
        return StreamedFeatures(self.model.encoder, *sides, window, self._computing)

    def _cut(self, core: int | None, window: int) -> None:
        """Cut every part into tiles."""
        self._part_of = cut_parts(
            self.model, self.padded, self.parts, streamed=self.streamed, core=core, window=window
        )

    def _plan(self, memory: int, results: int) -> None:
        """Choose the tiles: the best for the caches, or the first smaller ones that fit into memory."""
        width = max(part.cols.last - part.cols.first for part in self.parts)
        stream = self.model.encoder.stream() if self.streamed else None
        rows = 0 if stream is None else round_up(stream.band(width), self.model.encoder.multiple)
        with inference(self.model):
            needed = needs(self.model, self.decoder, rows or None)
        fixed = PROCESS + WEIGHTS * weights_of(self.model) + self.picture.pixels.nbytes + results
        if self.precision == "bfloat16":  # the tensors themselves are planned for as if they were float32
            fixed += LOW
        best = best_window(self.model, streamed=self.streamed, on_cpu=self._on_cpu)

        def least(halvings: int, workers: int, together: int) -> int:
            self._cut(None, best >> halvings)
            sides = [[span.last - span.first for span in tile] for tile in self._part_of]
            window, highest = max(map(math.prod, sides)), max(height for height, _ in sides)
            cut = Cut(window, highest, width, rows, together, min(AHEAD, len(self.parts)))
            return fixed + needed.of(cut, workers)

        chosen = choose(least, memory, torch.get_num_threads() if self._on_cpu else 1, roomy=self._on_cpu)
        if chosen is None:
            raise MemoryLimitError(
                f"a page of {self.picture.size[1]} x {self.picture.size[0]} pixels needs "
                f"{least(HALVINGS - 1, 1, 1) / 1e6:,.0f} MB with this model, more than the limit of "
                f"{memory / 1e6:,.0f} MB (raise it with --memory or memory=)"
            )
        self.workers, self.together = chosen.workers, chosen.together
        self._cut(None, best >> chosen.halvings)

    def share(self, work: Callable[[Tile], None], among: Sequence[Tile] | None = None) -> None:
        """Do this work on every tile, or on some windows of the page; see `flowkit.pages.crew.share`."""
        found: list[list[Tile]] = [[] for _ in self.parts]
        for tile in self._part_of if among is None else among:
            found[self._part_of.get(tile, 0)].append(tile)
        alone = self.workers == 1 and not self.model.whole_image and self._on_cpu
        # The modes are the model's, not a thread's, and one thread has to compute what several would.
        with inference(self.model), one_thread_each() if alone else nullcontext():
            share(
                [
                    Part(features, part.rows.first if self.streamed else 0, some, work)
                    for features, part, some in zip(self._features, self.parts, found, strict=True)
                    if some
                ],
                self.workers,
            )

    def draw(self, tile: Tile, samples: Sequence[int | None], temperature: float = 1.0) -> Iterator[Piece]:
        """Draw a tile of each of these samples, counted from 0; None stands for the image of z = 0.

        The encoder is quickest in the order of `tiles`. Each latent has this temperature times its own of the
        model's `temperatures`.

        Raises:
            NotFiniteError: the model puts out NaN or infinity, which is neither ink nor paper.
        """
        each = [temperature * of_latent for of_latent in self.model.temperatures]
        features = self._seen(tile)
        rows, cols = self.place(tile)
        margins = Margins(
            *(
                self.model.scale * margin
                for span in tile
                for margin in (span.start - span.first, span.last - span.stop)
            )
        )
        for first in range(0, len(samples), self.together):
            group = samples[first : first + self.together]
            with inference(self.model):
                with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # NumPy draws on one
                    latents = list(threads.map(lambda one: self.latents.of(tile, one, each), group))
                self.latents.share_factor(features, group, each[-1], latents)
                cores = self.decoder(features, latents, margins)
            for y in cores:
                core = y[0, :, : rows.stop - rows.start, : cols.stop - cols.start].cpu()
                if not core.isfinite().all():
                    raise self._not_finite("result", rows, cols)
                yield Piece(rows, cols, core)

    def place(self, tile: Tile) -> tuple[slice, slice]:
        """Return the rows and columns of the target that a tile's core fills."""
        rows, cols = map(self._on_page, tile, self.picture.size)
        return rows, cols

    def log_prob(self, part: Tile, y: Tensor) -> tuple[float, Sums]:
        """Return log p of a target (1, C, h, w) in this part's window, in nats, as if the page ended there.

        Noise for dequantisation is a function of its place, as the latents are. A common factor is left out,
        and comes as the sums of this part: `Sums.log_ratio` of the page's has to be added to its log p.

        Raises:
            NotFiniteError: the figure is NaN or infinite.
        """
        layers = self._layers()
        stride = self.model.scale
        rows, cols = (range(span.first * stride, span.last * stride) for span in part)
        features = self._exact(self._seen(part))
        with inference(self.model):
            noise = self.latents.dequantisation(y.shape[1], rows, cols)
            uniform = torch.special.ndtr(noise).clamp(0, 1 - 1e-7).to(self._like())
            v, log_q = self.model.target.dequantise(y.to(self._like()), uniform)
            contexts = (
                None if layer.context is None else condition(layer, features[layer.context.stride])
                for layer in layers
            )
            v, log_det, *left = to_latents(layers, contexts, v)
            factor = self.model.factor
            sums = Sums() if factor is None else factor.sums(v, self.latents.loadings(features))
        squares = sum(float(z.double().square().sum()) for z in (v, *left))
        count = sum(z.numel() for z in (v, *left))
        nats = float(log_det - log_q) - 0.5 * (squares + count * math.log(2 * math.pi))
        if not math.isfinite(nats):
            raise self._not_finite("log-likelihood", *self.place(part))
        return nats, sums

    def _not_finite(self, what: str, rows: slice, cols: slice) -> NotFiniteError:
        return NotFiniteError(
            f"the model's {what} is not finite in rows {rows.start} to {rows.stop}, columns {cols.start} "
            f"to {cols.stop} of the result (encoder in {self.precision}); this model cannot serve the page"
        )

    def _on_page(self, span: Span, length: int) -> slice:
        """Return the place of a core on the target, without the padding."""
        return slice(span.start * self.model.scale, min(span.stop, length) * self.model.scale)

    def _window(self, rows: Span, cols: Span) -> Tensor:
        """Return the image (1, C, h, w) inside two spans' windows."""
        piece = self.picture.window(
            slice(rows.first, rows.last), slice(cols.first, cols.last), self.model.in_channels
        )
        return piece.to(self._like()).contiguous(memory_format=torch.channels_last)

    def _seen(self, tile: Tile) -> Mapping[int, Features]:
        """Return the features of a tile's window; on a CPU in the precision of the encoder."""
        index = self._part_of.get(tile, 0)  # windows of the likelihood are no tiles, and there is one part
        if self.streamed:
            tile = moved(tile, -self.parts[index].rows.first, -self.parts[index].cols.first)
        with inference(self.model), self._computing():
            found = self._features[index].of(tile)
        return found if self._on_cpu else self._exact(found)

    def _exact(self, features: Mapping[int, Features]) -> dict[int, Features]:
        """Bring features to the precision of the flow."""
        return {stride: in_type_of(self._like(), found) for stride, found in features.items()}

    @contextmanager
    def _computing(self) -> Iterator[None]:
        low = self.precision == "bfloat16"
        with torch.no_grad(), torch.autocast(self._like().device.type, torch.bfloat16, enabled=low):
            yield

    def _layers(self) -> list[FlowLayer]:
        """Return the layers that a tile goes through: all but the common factor, which a page has once."""
        return [layer for layer in self.model.flow_layers() if layer is not self.model.factor]

    @property
    def _on_cpu(self) -> bool:
        return self._like().device.type == "cpu"

    def _like(self) -> Tensor:
        return next(self.model.parameters())
