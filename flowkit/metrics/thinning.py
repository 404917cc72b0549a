"""Skeletons of binary images, exactly as the pseudo F-measure of 2013 defines them."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.bool_]

# Lee and Chen's Table 1, as the contest's own weights have it: bit a of row n is the rule for the
# neighbourhood 16 n + a, counted from the north clockwise with the lowest bit first; 1 deletes.
_DELETED = (
    0x6020, 0x20D0, 0x0000, 0x20F0, 0xA0AA, 0x5B59, 0xA0AA, 0x0A5A,
    0x2020, 0x20A0, 0x0000, 0xA0A0, 0x2020, 0x5B5B, 0xA021, 0x4850,
)  # fmt: skip
_LEE_CHEN = bytes(row >> a & 1 for row in _DELETED for a in range(16))


def skeleton(ink: Ink) -> Ink:
    """Return one-pixel-wide, 8-connected lines in the middle of strokes. Outside the image there is no ink.

    Zhang and Suen's parallel thinning (Comm. ACM 27(3), 1984) until nothing changes, then Lee and Chen's
    table (Pattern Recognition 25(5), 1992, Table 1), which deletes pixels that no connection needs, in
    reading order, until nothing changes. A small symmetric blob may vanish altogether.

    >>> print(np.where(skeleton(np.ones((3, 7), bool)), "#", "."))
    [['.' '.' '.' '.' '.' '.' '.']
     ['.' '#' '#' '#' '#' '.' '.']
     ['.' '.' '.' '.' '.' '.' '.']]
    """
    return _lee_chen(_zhang_suen(ink))


def _zhang_suen(ink: Ink) -> Ink:
    """Thin by Zhang and Suen: 64 pixels of a row are the bits of one word, and a rule is logic on words.

    Only words near a change are looked at again: what remains to be thinned after the first steps is the
    inside of a few large areas.
    """
    height, width = ink.shape
    across = -(-width // 64) + 2  # a word without ink on either side, and a row above and below
    words = np.zeros((height + 2, across), np.uint64)
    packed = np.packbits(ink, axis=1, bitorder="little")
    bits = words.view(np.uint8).reshape(height + 2, 8 * across)
    bits[1:-1, 8 : 8 + packed.shape[1]] = packed
    flat = words.reshape(-1)
    near = np.array([i * across + j for i in (-1, 0, 1) for j in (-1, 0, 1)])
    inside = np.zeros(words.shape, bool)
    inside[1:-1, 1:-1] = True
    inside = inside.reshape(-1)
    changed = before = np.flatnonzero(flat)
    second = False
    while len(changed) or len(before):
        look = np.zeros(flat.size, bool)
        for offset in near:
            look[changed + offset] = True
            look[before + offset] = True
        active = np.flatnonzero(look & inside & (flat != 0))
        gone = _deletable(flat, active, across, second) & flat[active]
        hit = gone != 0
        before, changed = changed, active[hit]
        flat[changed] &= ~gone[hit]
        second = not second
    thin = np.unpackbits(bits[1:-1, 8:-8], axis=1, count=width, bitorder="little")
    return thin.astype(bool)


def _deletable(
    flat: NDArray[np.uint64], at: NDArray[np.intp], across: int, second: bool
) -> NDArray[np.uint64]:
    """Apply Zhang and Suen's conditions to the pixels of the words `at`, in the first or second half-step."""
    one, top = np.uint64(1), np.uint64(63)

    def row(offset: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        here = flat[at + offset]
        west = here << one | flat[at + offset - 1] >> top
        east = here >> one | flat[at + offset + 1] << top
        return west, here, east

    nw, n, ne = row(-across)
    w, _, e = row(0)
    sw, s, se = row(across)
    ring = (n, ne, e, se, s, sw, w, nw)
    once = twice = pair = gap = np.zeros_like(n)
    for a, b in zip(ring, (*ring[1:], n), strict=True):
        start = b & ~a
        twice = twice | once & start
        once = once | start
        pair = pair | a & b
        gap = gap | ~(a | b)
    # The ink around forms one run; given that, a pair of ink and a pair of paper mean 2 to 6 neighbours.
    kept = n & w & (e | s) if second else e & s & (n | w)
    return once & ~twice & pair & gap & ~kept


def _lee_chen(ink: Ink) -> Ink:
    """Delete by the table, pixel by pixel, since each deletion affects those that follow."""
    across = ink.shape[1] + 2
    padded = np.pad(ink, 1)
    order = (-across, 1 - across, 1, across + 1, across, across - 1, -1, -across - 1)
    at = np.flatnonzero(padded)
    flat = padded.reshape(-1).view(np.uint8)
    address = np.zeros(len(at), np.intp)
    for bit, offset in enumerate(order):
        address |= flat[at + offset].astype(np.intp) << bit
    queue = at[np.frombuffer(_LEE_CHEN, np.uint8)[address] != 0].tolist()  # ascending: a heap already
    pixels = bytearray(flat)
    while queue:
        later: set[int] = set()
        last = -1
        while queue:
            i = heapq.heappop(queue)
            if i == last or not pixels[i]:
                continue
            last = i
            if _LEE_CHEN[sum(pixels[i + offset] << bit for bit, offset in enumerate(order))]:
                pixels[i] = 0
                for offset in order:
                    if pixels[i + offset]:
                        if offset > 0:
                            heapq.heappush(queue, i + offset)
                        else:
                            later.add(i + offset)
        queue = sorted(later)
    thin = np.frombuffer(bytes(pixels), np.uint8).reshape(padded.shape)[1:-1, 1:-1]
    return thin.astype(bool)
