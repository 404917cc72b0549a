"""The memory of a page, and the tiles that keep within a limit.

What a model needs per pixel is measured on a small window, operation by operation, so that it holds for any
encoder and any layer. It depends on nothing but the model: a page is cut alike on every run.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from flowkit.errors import MemoryLimitError
from flowkit.flow import ConditionalFlow
from flowkit.flow.fast_decode import Decoder
from flowkit.images.header import Header
from flowkit.pages.tiles import round_up

MEMORY = 2_000_000_000
"""Default limit, in bytes, of a process that works on a page."""

PROCESS = 420_000_000 if torch.version.cuda is None else 760_000_000
"""Bytes of Python, PyTorch and its libraries before any work; CUDA's are loaded without a GPU, too."""

LOW = 30_000_000
"""Bytes of the code and the buffers that oneDNN makes for bfloat16 in a process."""

WEIGHTS = 3
"""Bytes for each byte of a model's weights: they, the folded ones, and a copy to compare with."""

PROBE = 64  # side of the small window

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
    features: float
    """For the features of a stream, per pixel of the image."""
    stream: float
    """For the stream itself, per column of the image."""

    def of(self, cut: Cut, workers: int) -> int:
        """Return the bytes for a page that is cut so, of which threads work on so many tiles at a time."""
        tile = cut.window * (self.window + self.features + (cut.together - 1) * self.sample)
        parts, kept = 1, cut.highest + 2 * cut.band  # a part of a band above the tiles, and one below
        if workers > 1:  # the encoder is a row of tiles ahead, and has several bands at different stages
            parts, kept = cut.parts, 2 * cut.highest + (workers + 3) * cut.band
        stream = parts * cut.width * (workers * self.stream + kept * self.features)
        return math.ceil(SLACK * (workers * tile + stream))


_known: weakref.WeakKeyDictionary[ConditionalFlow, dict[tuple[int, torch.dtype], Needs]] = (
    weakref.WeakKeyDictionary()
)


def needs(model: ConditionalFlow, decoder: Decoder, band: int) -> Needs:
    """Measure the memory of a model in eval mode, and remember it; its stream takes `band` rows at a time."""
    known, key = _known.setdefault(model, {}), (band, next(model.parameters()).dtype)
    if key not in known:
        known[key] = _measured(model, decoder, band)
    return known[key]


@torch.no_grad()
def _measured(model: ConditionalFlow, decoder: Decoder, band: int) -> Needs:
    side = round_up(PROBE, model.grid)
    image = next(model.parameters()).new_zeros(1, model.in_channels, side, side)

    def latents(samples: int) -> list[list[Tensor]]:
        return [[image.new_zeros(1, *shape) for shape in model.latent_shapes(side, side)]] * samples

    def through(samples: int) -> int:
        # the features live as long as the decoder works
        return peak(lambda: decoder(model.encoder.features(image), latents(samples)))

    stream = model.encoder.stream()
    if stream is None:
        through(1)  # what is folded on first use is counted with the weights
        one, two = through(1), through(2)
        return Needs(one / side**2, (two - one) / side**2, 0.0, 0.0)
    features = model.encoder(image)
    decoder(features, latents(1))
    one, two = peak(lambda: decoder(features, latents(1))), peak(lambda: decoder(features, latents(2)))
    rows = image.new_zeros(1, model.in_channels, band, side)
    stream.push(rows, last=True)
    stream = model.encoder.stream()
    assert stream is not None
    count = math.ceil(model.encoder.reach / band) + 2  # until all that it holds back is full

    def through_stream() -> None:
        for left in range(count, 0, -1):
            stream.push(rows, last=left == 1)  # when all that was held back comes at once

    streaming = peak(through_stream)
    kept = sum(maps.nbytes for maps in features.values())
    return Needs(one / side**2, (two - one) / side**2, kept / side**2, streaming / side)


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
