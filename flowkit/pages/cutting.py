"""The division of a page into parts that are computed, and of these into tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flowkit.flow import ConditionalFlow
from flowkit.pages.blank import SIDE
from flowkit.pages.islands import CONTEXT, islands, whole
from flowkit.pages.tiles import STREAMED_WINDOW, WINDOW, Tile, evened, moved, round_up, tiles, widened

MARGINS = 6
"""Width of a streamed window, counted in its margin, up to which the caches do not matter."""


def divided(
    model: ConditionalFlow, size: tuple[int, int], where: NDArray[np.bool_] | None, *, streamed: bool
) -> list[Tile]:
    """Return the parts of a page that hold these cells of SIDE x SIDE pixels; None stands for all."""
    if where is None or model.whole_image:
        return [whole(size)]
    # What is ink depends little on what is far away; an enlarged image is to be that of the page.
    context = CONTEXT if streamed and model.scale == 1 else model.reach
    return islands(where, SIDE, size, step=model.grid, context=context)


def cut_parts(
    model: ConditionalFlow,
    size: tuple[int, int],
    parts: Sequence[Tile],
    *,
    streamed: bool,
    core: int | None,
    window: int,
) -> dict[Tile, int]:
    """Cut the parts of a page into tiles; return the index of the part of each.

    Args:
        model: what the tiles are for.
        size: height and width of the page.
        parts: of it.
        streamed: whether features come from a stream, so that windows are those of the flow alone.
        core: largest side of a core, instead of `window`.
        window: most pixels of a window.
    """
    margin, step = (_margin(model), model.path_grid) if streamed else (model.reach, model.grid)
    found: dict[Tile, int] = {}
    for index, part in enumerate(parts):
        height, width = (span.stop - span.start for span in part)
        if model.whole_image:
            core = max(height, width)
        cut = tiles(height, width, core=core, margin=margin, step=step, window=window)
        outer = part if streamed else whole(size)
        placed = [
            widened(moved(tile, part.rows.start, part.cols.start), outer, round_up(margin, step))
            for tile in cut
        ]
        if streamed:  # without a stream, what a window has more is encoded once more
            placed = evened(placed, outer, step)
        found.update(dict.fromkeys(placed, index))
    return found


def best_window(model: ConditionalFlow, *, streamed: bool, on_cpu: bool) -> int:
    """Return how many pixels a window has at best, if there is memory for it."""
    if not streamed:
        return WINDOW
    target = STREAMED_WINDOW if on_cpu else WINDOW
    return max(target // model.scale**2, (MARGINS * _margin(model)) ** 2)


def _margin(model: ConditionalFlow) -> int:
    """Return how far windows of streamed features reach beyond their cores."""
    return model.path_reach + model.encoder.tail
