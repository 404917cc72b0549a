"""The weights of ink and paper pixels in the pseudo F-measure of 2013.

Ntirogiannis, Gatos, Pratikakis, "Performance Evaluation Methodology for Historical Document Image
Binarization", IEEE TIP 22(2), 2013; equation numbers are theirs. The paper leaves rules open, on which the
contest's own tool (`BinEvalWeights`) decided; what it does was established by Doxa (doxapy 0.9.8). These
maps repeat its figures, the tool's slips included, but for single pixels in a few small patches of paper
that ink cuts off at the edge of the image. Distances are chessboard distances, kept in bytes as there.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flowkit.metrics.rings import Boxes, Index, Mask, Rings, chessboard
from flowkit.metrics.thinning import skeleton

Map = NDArray[np.int32]

_FAR = 250  # the byte that says: paper that no stroke reaches; distances from here on are not used
_EIGHT = np.ones((3, 3), int)


def weights(ink: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute recall weights D / N_R on ink (equation 2), and D / N_P, at most 2, on paper (equation 10).

    - D is the distance from the contour of the truth (ink with one of 4 neighbours outside the ink); the
      contour itself has 0, or 1 where it is the skeleton.
    - N_R belongs to the nearest skeleton pixels: their D times about their D, so that the weights add up to
      about 1 across a stroke, whatever its width.
    - N_P is the width of the nearest component's strokes (twice the mean of D on its skeleton), or the
      distance between components where that is less and they would merge; paper further away than that has
      weight 0.

    Both are 0 elsewhere. The full weight of `pred`'s pixels in pseudo-precision is 1 + the second map.

    >>> recall, precision = weights(np.pad(np.ones((3, 9), bool), 4))
    >>> print(recall[5, 5:12].round(2))
    [0.33 0.5  0.5  0.5  0.5  0.33 0.33]
    >>> print(precision[:5, 8])
    [1.   0.75 0.5  0.25 0.  ]
    """
    lines = skeleton(ink)
    strokes = _Parts.of(ink)
    strokes.seed(lines)
    contour = ink & ~ndimage.binary_erosion(ink)
    from_contour = chessboard(contour)
    d = np.where(ink, np.where(contour & lines, 1, from_contour & 255), 0).astype(np.int32)
    _raise_ridges(d, lines)
    factor, norm = _normalise(d, contour, lines, strokes)
    recall = np.divide(d, norm, out=np.zeros(ink.shape), where=norm > 0)
    return recall, _precision(ink, strokes, lines, contour, from_contour, factor)


@dataclass
class _Parts:
    """8-connected components, numbered in reading order; 0 belongs to none."""

    labels: Map
    boxes: Index  # (n + 1, 4): first and last row, first and last column

    @classmethod
    def of(cls, mask: Mask) -> _Parts:
        labels, _ = ndimage.label(mask, _EIGHT)
        found = [
            (rows.start, rows.stop - 1, cols.start, cols.stop - 1)
            for rows, cols in ndimage.find_objects(labels)
        ]
        return cls(labels, np.array([(0, 0, 0, 0), *found], np.intp))

    def boxes_at(self, at: Index) -> Boxes:
        labels = self.labels.reshape(-1)[at]
        return Boxes(*(edge[labels] for edge in self.boxes.T))

    def seed(self, lines: Mask) -> None:
        """Give components that thinning removed one pixel: one past their centre, or else their first."""
        count = len(self.boxes)
        bare = np.bincount(self.labels[lines], minlength=count) == 0
        bare[0] = False
        for label in np.flatnonzero(bare):
            top, bottom, left, right = self.boxes[label]
            own = self.labels[top : bottom + 1, left : right + 1] == label
            y, x = np.nonzero(own)
            if len(y) == 1:  # a corner of paper at the edge of the image; the tool leaves it bare
                continue
            middle = int(y.mean()) + 1, int(x.mean()) + 1
            on_it = middle[0] < own.shape[0] and middle[1] < own.shape[1] and own[middle]
            dy, dx = middle if on_it else (y[0], x[0])
            lines[top + dy, left + dx] = True


def _usable(d: Map) -> Mask:
    return (d > 0) & (d < _FAR)


def _raise_ridges(d: Map, lines: Mask) -> None:
    """Add 1 on the skeleton where all 4 neighbours are as far; those above and to the left may be raised."""
    width = d.shape[1]
    near = np.pad(d, 1, mode="edge")
    up, down, left, right = near[:-2, 1:-1], near[2:, 1:-1], near[1:-1, :-2], near[1:-1, 2:]
    flat = (down == d) & (right == d) & lines & _usable(d)
    for first in (up, left):
        flat &= (first == d) | (first == d - 1)
    values = d.reshape(-1)
    for i in np.flatnonzero(flat).tolist():
        value = values[i]
        if (i < width or values[i - width] == value) and (i % width == 0 or values[i - 1] == value):
            values[i] = value + 1


def _normalise(d: Map, contour: Mask, lines: Mask, parts: _Parts) -> tuple[Map, Map]:
    """Compute the factor of every skeleton pixel, and N of every pixel: the largest D times factor nearby.

    Equation 3.
    """
    to_line = chessboard(lines)
    at = np.flatnonzero(_usable(d))
    rings = Rings(lines, at, parts.boxes_at(at), to_line)
    reach = np.where(lines & ~contour, 1, to_line & 255)
    # The last pixel to have a skeleton pixel on its ring decides, by component and in reading order.
    order = parts.labels.reshape(-1)[at].astype(np.int64) * d.size + at
    last = rings.last(order, d.shape)
    written = lines & (last >= 0)
    factor = lines.astype(np.int32)
    factor[written] = d[written] + (reach.reshape(-1)[last[written] % d.size] >= d[written]) & 255
    _end_points(factor, lines, parts)
    norm = np.zeros(d.shape, np.int32)
    norm.reshape(-1)[at] = rings.maximum(np.where(lines, d * factor, 0)) & 65535
    _spread(norm)
    return factor, norm


def _end_points(factor: Map, lines: Mask, parts: _Parts) -> None:
    """Give a skeleton's end the factor of its only neighbour, plus 1; the image's edge is repeated."""
    height, width = lines.shape
    edged = np.pad(lines, 1, mode="edge").view(np.uint8)
    around = sum(
        edged[1 + i : 1 + i + height, 1 + j : 1 + j + width]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    )
    ends = np.flatnonzero(lines & (around == 1))
    ends = ends[np.argsort(parts.labels.reshape(-1)[ends], kind="stable")]
    values = factor.reshape(-1)
    for i in ends.tolist():
        y, x = divmod(i, width)
        up, down = max(y - 1, 0), min(y + 1, height - 1)
        left, right = max(x - 1, 0), min(x + 1, width - 1)
        where = [(up, x), (down, x), (y, left), (y, right), (up, left), (down, left), (up, right)]
        neighbour = [row * width + column for row, column in where if lines[row, column]]
        # The tool forgets to add the column for the neighbour below to the right.
        value = values[neighbour[0] if neighbour else down * width + right - x]
        if value > 0:
            values[i] = value + 1 & 255


def _spread(norm: Map) -> None:
    """Replace a value that differs from all of its 4 neighbours, if set, by the left one's, row by row."""
    height, width = norm.shape
    inner = norm[1:-1, 1:-1]
    sides = norm[:-2, 1:-1], norm[2:, 1:-1], norm[1:-1, :-2], norm[1:-1, 2:]
    alone = inner > 0
    for side in sides:
        alone &= (side > 0) & (side != inner)
    y, x = np.nonzero(alone)
    queue = ((y + 1) * width + x + 1).tolist()
    flat = memoryview(norm.reshape(-1).data)
    last = -1
    while queue:
        i = heapq.heappop(queue)
        y, x = divmod(i, width)
        if i == last or x in (0, width - 1) or y in (0, height - 1):
            continue
        last = i
        value = flat[i]
        around = flat[i - width], flat[i + width], flat[i - 1], flat[i + 1]
        if value and all(around) and value not in around:
            flat[i] = around[2]
            heapq.heappush(queue, i + 1)
            heapq.heappush(queue, i + width)


def _precision(
    ink: Mask, strokes: _Parts, lines: Mask, contour: Mask, from_contour: Map, factor: Map
) -> NDArray[np.float64]:
    """Compute equations 10 and 11."""
    result = np.zeros(ink.shape)
    if ink.all() or not ink.any():
        return result
    count = np.bincount(strokes.labels[lines], minlength=len(strokes.boxes))
    total = np.bincount(strokes.labels[lines], factor[lines], minlength=len(strokes.boxes)).astype(np.intp)
    width = total // np.maximum(count, 1) * 2
    paper = _Parts.of(~ink)
    framed = ~ink
    framed[[0, -1]] = framed[:, [0, -1]] = False
    paper_lines = skeleton(framed)
    paper.seed(paper_lines)
    d = np.where(ink, 0, np.where(_reached(strokes, width), from_contour & 255, _FAR)).astype(np.int32)
    _raise_ridges(d, paper_lines)
    _, area = _normalise(d, contour, paper_lines, paper)
    gap = np.floor(np.sqrt(area) + 0.5).astype(np.int32)

    widths = np.where(contour, width[strokes.labels] & 255, 0).astype(np.int32)
    at = np.flatnonzero(_usable(d) & (d <= widths.max()))
    rings = Rings(contour, at, paper.boxes_at(at), from_contour)
    reach = rings.maximum(widths)
    near = d.reshape(-1)[at]
    use = rings.found & (near <= reach)
    most = len(strokes.boxes)
    highest = rings.maximum(np.where(contour, strokes.labels, 0))
    lowest = most - rings.maximum(np.where(contour, most - strokes.labels, 0))
    gaps = gap.reshape(-1)[at]
    merge = np.zeros(ink.size, bool)
    merge[at] = use & (highest != lowest) & (gaps & 255 > 0)
    merging = chessboard(merge.reshape(ink.shape)).reshape(-1)[at] <= reach - near
    norm = np.where(merging & (near < reach) & (gaps < reach), gaps, reach) & 255
    use &= norm > 0
    result.reshape(-1)[at[use]] = np.minimum(near[use] / norm[use], 2)
    return result


def _reached(strokes: _Parts, width: Index) -> Mask:
    """Mark the boxes of all components, enlarged by twice their stroke width."""
    rows, cols = strokes.labels.shape
    steps = np.zeros((rows + 1, cols + 1), np.int32)
    margin = 2 * width[1:]
    top, bottom, left, right = strokes.boxes[1:].T
    y = np.maximum(top - margin, 0), np.minimum(bottom + margin, rows - 1) + 1
    x = np.maximum(left - margin, 0), np.minimum(right + margin, cols - 1) + 1
    for sign, i, j in ((1, 0, 0), (-1, 0, 1), (-1, 1, 0), (1, 1, 1)):
        np.add.at(steps, (y[i], x[j]), sign)
    return np.asarray(steps.cumsum(0).cumsum(1)[:-1, :-1] > 0)
