"""The memory of a page, and the tiles that keep within a limit.

What a model needs per pixel is measured on a small window, operation by operation, so that it holds for any
encoder and any layer. It depends on nothing but the model: a page is cut alike on every run.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from flowkit.encoders import Encoder
from flowkit.errors import MemoryLimitError
from flowkit.flow import ConditionalFlow
from flowkit.flow.fast_decode import Decoder
from flowkit.images.header import Header
from flowkit.layers.features import Features
from flowkit.pages.tiles import round_up

MEMORY = 2_000_000_000
"""Default limit, in bytes, of a process that works on a page."""

PROCESS = 420_000_000 if torch.version.cuda is None else 760_000_000
"""Bytes of Python, PyTorch and its libraries before any work; CUDA's are loaded without a GPU, too."""

LOW = 30_000_000
"""Bytes of the code and the buffers that oneDNN makes for bfloat16 in a process."""

WEIGHTS = 3
"""Bytes for each byte of a model's weights: they, the folded ones, and a copy to compare with."""

TOGETHER = 16
"""Most samples of a tile to decode together, which share the conditions of its image."""

HALVINGS = 10  # of the tiles' area, before a page is given up

PROBE = 64  # side of the small window, in target pixels

SLACK = 1.5
"""Factor for buffers of PyTorch's libraries, and for the allocator's gaps."""


def check_header(header: Header, model: ConditionalFlow, *, results: float, memory: int) -> None:
    """Refuse a page by its header: its pixels and results, or decoding it, need more than `memory`.

    A page that passes may still be refused when it is cut into tiles; to decode it is within the limit.

    Args:
        header: of the page.
        model: what it is for.
        results: bytes for each of its pixels that the caller keeps.
        memory: bytes that the process may need.

    Raises:
        MemoryLimitError: it does not fit.
    """
    kept = header.nbytes + results * header.width * header.height
    least = PROCESS + WEIGHTS * weights_of(model) + max(header.decoding, kept)
    if least > memory:
        raise MemoryLimitError(
            f"a page of {header.width} x {header.height} pixels needs at least {least / 1e6:,.0f} MB with "
            f"this model, more than the limit of {memory / 1e6:,.0f} MB (raise it with --memory or memory=)"
        )


def weights_of(model: ConditionalFlow) -> int:
    """Return the bytes of a model's weights."""
    return sum(tensor.nbytes for tensor in itertools.chain(model.parameters(), model.buffers()))


class Cut(NamedTuple):
    """The sizes, in image pixels, on which a page's memory depends."""

    window: int
    """Area of the largest window."""
    highest: int
    """Rows of the highest window."""
    width: int
    """Columns of what is streamed."""
    band: int
    """Rows that are streamed at a time."""
    together: int
    """Samples that are decoded together."""
    parts: int
    """Parts of the page that threads work on at a time."""


class Needs(NamedTuple):
    """The memory of a model, in bytes."""

    window: float
    """For one sample in the flow (and the encoder, if it has no stream), per pixel of a window."""
    sample: float
    """For each further sample, per pixel of a window."""
    features: float = 0.0
    """For the features of a stream, per pixel of the image."""
    held: float = 0.0
    """For the rows that a stream holds back, per column of the image."""
    working: float = 0.0
    """For one step of a stream, and the rows on their way through it, per column of the image."""
    ending: float = 0.0
    """For the last step, with all rows that were held back, per column of the image."""

    def of(self, cut: Cut, workers: int) -> int:
        """Return the bytes for a page that is cut so, of which threads work on so many tiles at a time."""
        tile = cut.window * (self.window + self.features + (cut.together - 1) * self.sample)
        parts, steps = 1, 1
        kept = cut.highest + 2 * cut.band  # a part of a band above the tiles, and one below
        if workers > 1:  # the encoder is a row of tiles ahead, and has several bands at different stages
            parts, steps = cut.parts, workers + 1
            kept = 2 * cut.highest + (workers + 3) * cut.band
        stepping = max(steps * self.working, self.ending)
        stream = parts * cut.width * (self.held + stepping + kept * self.features)
        return math.ceil(SLACK * (workers * tile + stream))


class Choice(NamedTuple):
    """The cut of a page, and the work on it: the arguments of `least` in `choose`."""

    halvings: int
    workers: int
    together: int


def choose(least: Callable[[int, int, int], int], memory: int, most: int, *, roomy: bool) -> Choice | None:
    """Choose what fits into the memory; return None if nothing does.

    Args:
        least: returns the bytes for tiles whose area was halved so often, a number of threads, and a number
            of samples that are decoded together.
        memory: the limit, in bytes.
        most: the number of threads, if there is room for all.
        roomy: whether tiles are to be halved once more where this makes room for a second thread. The number
            of threads has no influence on the tiles, since the result depends on these.
    """
    fitting = (halvings for halvings in range(HALVINGS) if least(halvings, 1, 1) <= memory)
    if (halvings := next(fitting, None)) is None:
        return None
    if roomy and least(halvings, 2, 1) > memory >= least(halvings + 1, 2, 1):
        halvings += 1
    choices = (Choice(halvings, *rest) for rest in itertools.product(range(most, 0, -1), (TOGETHER, 4, 1)))
    return next((choice for choice in choices if least(*choice) <= memory), Choice(halvings, 1, 1))


_known: weakref.WeakKeyDictionary[ConditionalFlow, dict[tuple[int | None, torch.dtype], Needs]] = (
    weakref.WeakKeyDictionary()
)


def needs(model: ConditionalFlow, decoder: Decoder, band: int | None) -> Needs:
    """Measure the memory of a model in eval mode, and remember it.

    Args:
        model: the model.
        decoder: of it.
        band: the rows that its stream takes at a time, or None where it encodes windows.
    """
    known, key = _known.setdefault(model, {}), (band, next(model.parameters()).dtype)
    if key not in known:
        known[key] = _measured(model, decoder, band)
    return known[key]


@torch.no_grad()
def _measured(model: ConditionalFlow, decoder: Decoder, band: int | None) -> Needs:
    side = round_up(PROBE // model.scale, model.grid)
    image = next(model.parameters()).new_zeros(1, model.in_channels, side, side)

    def encoded() -> Mapping[int, Features]:
        return model.encoder.features(image) if band is None else model.encoder.complete(maps, lambda: image)

    def through(samples: int) -> int:
        # the features live as long as the decoder works
        latents = [[image.new_zeros(1, *shape) for shape in model.latent_shapes(side, side)]] * samples
        return peak(lambda: decoder(encoded(), latents))

    maps: dict[int, Tensor] = {}
    if band is not None:
        stream = model.encoder.stream()
        assert stream is not None
        # and what is folded on first use, which is counted with the weights, is folded
        maps = {s: torch.cat(pieces, dim=2) for s, pieces in stream.push(image, last=True).items()}
    one, two = through(1), through(2)
    window, sample = one / side**2, (two - one) / side**2
    if band is None:
        return Needs(window, sample)
    stream_needs = _streaming(model.encoder, image.new_zeros(1, model.in_channels, band, side))
    features = sum(map_.nbytes for map_ in maps.values()) / side**2
    return Needs(window, sample, features, *(need / side for need in stream_needs))


def _streaming(encoder: Encoder, rows: Tensor) -> tuple[int, int, int]:
    """Return bytes: the most that a stream holds between such bands; what a band needs more, and the last."""
    stream = encoder.stream()
    assert stream is not None
    held = most = 0
    with _Watch() as watch:
        for _ in range(math.ceil(encoder.reach / rows.shape[2]) + 1):  # until all that it holds back is full
            stream.push(rows, last=False)
            held, most = max(held, watch.now), watch.most
        stream.push(rows, last=True)
    return held, most - held, watch.most - held


def peak(run: Callable[[], object]) -> int:
    """Return the peak of the bytes of all tensors that `run` makes.

    >>> peak(lambda: torch.zeros(1000) + torch.ones(1000))
    12000
    """
    watch = _Watch()
    with watch:
        run()
    return watch.most


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A counter of the outputs of operations, each storage once, until its last tensor is gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.alive: Counter[int] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # To keep the compiler away, which is not used here, torch would import all of it: seconds.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self.alive[place]:
            self.now += size
            self.most = max(self.most, self.now)
        self.alive[place] += 1
        weakref.finalize(tensor, self._release, place, size)

    def _release(self, place: int, size: int) -> None:
        self.alive[place] -= 1
        if not self.alive[place]:
            self.now -= size
