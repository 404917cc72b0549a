"""The scan of a clean page: paper, verso, ink, stains, light, optics, sensor, JPEG, in that order.

This module makes the page (paper, ink); the later steps are mostly the registered degradations, at strengths
that go together. Each step is a function of a page (H, W, 3), float32 in [0, 1], and a generator; it returns
a new page and leaves its input alone. The values are display values, as in the scans themselves, not linear
light. Every step takes a `strength`: 0 changes nothing (or gives the plain case), 1 gives an ordinary old
page, 2 a bad one. `degrade` composes them all; `drawn_pair` makes training data with any degradations.
Lengths are in pixels of a scan whose text is 20 to 60 pixels high.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.degradations.bare_paper import paper
from flowkit.degradations.base import Compose, Mask, absorb
from flowkit.degradations.noise import Noise
from flowkit.degradations.optics import Defocus, Jpeg
from flowkit.degradations.show_through import BleedThrough
from flowkit.degradations.spec import Steps, degradations_from
from flowkit.degradations.stains import RUST, WATER, spot, water_mark
from flowkit.degradations.texture import Array, blur, smooth_field, smoothstep, to_uint8
from flowkit.errors import DataError
from flowkit.synthetic.page import draw_cover, draw_page

# per channel: how much of each light the inks take
_INKS = np.array([(0.84, 0.96, 1.06), (0.95, 0.99, 1.02), (0.74, 0.95, 1.12)], np.float32)


def lay_ink(page: Array, truth: Mask, rng: np.random.Generator, strength: float = 1.0) -> tuple[Array, Mask]:
    """Lay the ink of `truth` (H, W): edges that creep outwards, uneven load, fading by region, worn specks.

    Returns the page, and its visible ink, bool (H, W): pixels darker than half-way between paper and full
    ink, which lie outside of `truth` where the ink has spread.
    """
    height, width = truth.shape
    load = np.float32(rng.uniform(1.7, 2.3))
    soft = blur(truth.astype(np.float32), 0.5 + 0.2 * strength)
    rough = 0.06 * smooth_field(height, width, 2.5, rng) + 0.04 * smooth_field(height, width, 6, rng)
    rough = np.float32(strength) * rough * (soft > 0.02)
    # the middle of the ramp lies a little outside the true edge: ink spreads
    centre = 0.5 - 0.1 * min(strength, 2.0) * rng.random()
    cover = smoothstep(soft + rough, centre - 0.33, centre + 0.33)
    halo = 0.035 * strength * blur(cover, 2.8)

    fade = smooth_field(height, width, 0.22 * (height + width), rng, 3)
    fade = np.float32(rng.uniform(0.2, 0.75)) * smoothstep(fade, 0.0, 2.2)
    strokes = 0.14 * smooth_field(height, width, 28, rng, 2) + 0.08 * smooth_field(height, width, 4, rng)
    worn = smoothstep(smooth_field(height, width, 1.8, rng) + 2.0 * fade, 1.9, 3.4)
    keep = np.clip(1 - strength * (fade + 0.7 * worn) + min(strength, 1.5) * strokes, 0.15, 1.3)
    written = absorb(page, load * (cover * keep + halo), _INKS[rng.integers(len(_INKS))])
    # ink absorbs light exponentially: half the light is gone well before half the cover is reached
    half = -np.log((1 + np.exp(-load)) / 2) / load
    return written, cover >= half


def stains(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Add stains: pale or ringed water marks, at times over an edge, and rusty spots (foxing)."""
    height, width = page.shape[:2]
    size = float(np.sqrt(height * width))
    water = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(1.6 * strength)):
        water_mark(water, rng, size * rng.uniform(0.06, 0.22), (0.06, 0.20))
    rust = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(4.0 * strength * rng.exponential())):
        spot(rust, rng, min(rng.lognormal(1.1, 0.6), 14.0), (0.08, 0.35))
    return absorb(absorb(page, strength * water, WATER), strength * rust, RUST)


def uneven_light(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Light the page by a lamp to one side, with darker corners and at times a shadow of the gutter."""
    height, width = page.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.09 * strength * (np.cos(angle) * x + np.sin(angle) * y)
    light = light - 0.05 * strength * (x**2 + y**2) / 2
    light = light + 0.03 * strength * smooth_field(height, width, 0.4 * (height + width), rng)
    if rng.random() < 0.5:
        side = 1 if rng.random() < 0.5 else -1
        light = light * (1 - min(0.9, 0.35 * strength) * np.exp(-(1 - side * x) / rng.uniform(0.04, 0.12)))
    # lamps differ from yellowish to bluish, hardly towards green
    warm = strength * rng.normal(0, 0.02) * np.array((1, 0.1, -1), np.float32)
    return np.asarray(np.clip(page * light[..., None] * (1 + warm), 0, 1), np.float32)


def contrast(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Apply stray light and a tone curve: black is lifted, white lowered, gamma moved a little."""
    low, high = strength * rng.uniform(0.0, 0.07), 1 - strength * rng.uniform(0.0, 0.06)
    gamma = np.exp(strength * rng.normal(0, 0.08))
    return np.asarray(low + max(high - low, 0.2) * page**gamma, np.float32)


def degrade(
    truth: Mask, rng: np.random.Generator, strength: float = 1.0, *, verso: Mask | None = None
) -> NDArray[np.uint8]:
    """Make a scan, uint8 (H, W, 3), of the page whose ink is `truth`, bool (H, W).

    `verso` is the page on the back of the leaf, of the same shape, as its reader sees it; by default, it is
    the page itself, moved up or down. `strength` 0 gives dark ink on plain paper, 1 an ordinary old page, 2 a
    bad one. The same `truth`, state of `rng` and strength give the same scan.

    Raises `DataError` for a truth or verso of another type or shape, and for a strength below 0.

    >>> truth = np.zeros((40, 60), bool); truth[10:30, 20:24] = True
    >>> scan = degrade(truth, np.random.default_rng(0))
    >>> scan.shape, scan.dtype.name, bool(scan[truth].mean() < scan[~truth].mean())
    ((40, 60, 3), 'uint8', True)
    """
    _check("truth", truth)
    if not (np.isfinite(strength) and strength >= 0):
        raise DataError(f"degrade: found strength {strength}, expected a number of at least 0")
    if verso is None:
        verso = np.roll(truth, int(rng.integers(truth.shape[0])), axis=0)
    _check("verso", verso)
    if verso.shape != truth.shape:
        raise DataError(
            f"degrade: found a verso of shape {verso.shape}, expected that of truth, {truth.shape}"
        )
    page = paper((truth.shape[0], truth.shape[1]), rng, strength)
    through = BleedThrough(
        strength=(min(0.30 * strength, 4), min(0.60 * strength, 4)), sigma=(1, 2), halo=(0.45, 0.45)
    )
    page = through(page, rng, other=lambda: (~verso)[..., None])
    page, _ = lay_ink(page, truth, rng, strength)
    page = stains(page, rng, strength)
    page = uneven_light(page, rng, strength)
    page = Defocus(sigma=(min(0.2 * strength, 50), min(0.8 * strength, 50)))(page, rng)
    page = contrast(page, rng, strength)
    page = Noise(level=(min(0.006 * strength, 0.5), min(0.016 * strength, 0.5)))(page, rng)
    if strength > 0:
        quality = int(np.clip(100 - strength * rng.uniform(5, 25), 20, 100))
        page = Jpeg(quality=(quality, quality))(page, rng)
    return to_uint8(page)


def drawn_pair(
    rng: np.random.Generator,
    height: int,
    width: int,
    degradations: Compose | str | Steps = "archive",
    *,
    text_size: tuple[float, float] = (18.0, 56.0),
    layouts: Sequence[str] = ("book",),
    clean: float = 0.0,
) -> tuple[NDArray[np.uint8], Mask]:
    """Draw a page: return its scan, uint8 (height, width, 3), and its ink, bool (height, width).

    The ink is the visible ink after it has spread into the paper (half-way down its soft edge), before
    anything covers it. The truth of the DIBCO contests follows the visible strokes in the same way, while
    the letterform that was drawn is thinner. The same state of `rng` gives the same pair.

    Args:
        rng: the only source of randomness.
        height: of the page, in pixels.
        width: of the page, in pixels.
        degradations: of the written page: a preset's name, a list of steps, or the result of
            `degradations_from` (faster if many pages are drawn).
        text_size: the least and the greatest em of the body text, in pixels; drawn evenly in its logarithm.
        layouts: of the page, which gets one of them at random: `book`, or names of
            `flowkit.synthetic.layouts.LAYOUTS`.
        clean: probability of a page without degradations, as from a good scanner (`clean_scan`).

    Raises:
        DataError: the size is below 1 x 1, or there is no such preset or layout.
        RecipeError: the list of steps is wrong.

    >>> image, ink = drawn_pair(np.random.default_rng(0), 120, 200, "light")
    >>> image.shape, image.dtype.name, ink.shape, ink.dtype.name
    ((120, 200, 3), 'uint8', (120, 200), 'bool')
    """
    worse = degradations if isinstance(degradations, Compose) else degradations_from(degradations)
    size = float(np.exp(rng.uniform(*np.log(text_size))))
    # a single layout takes no random number, so that pages of `book` stay the same
    layout = layouts[int(rng.integers(len(layouts)))] if len(layouts) > 1 else layouts[0]
    if clean and rng.random() < clean:
        return clean_scan(draw_cover(width, height, rng, text_size=size, layout=layout), rng)
    drawn = draw_page(width, height, rng, text_size=size, layout=layout)
    sheet = paper((height, width), rng, rng.uniform(0.2, 1.2))
    page, ink = lay_ink(sheet, drawn, rng, rng.uniform(0.3, 1.3))

    def other() -> NDArray[Any]:
        return (~draw_page(width, height, rng, text_size=size)).astype(np.float32)[..., None]

    return to_uint8(worse(page, rng, ink=ink, other=other)), ink


def clean_scan(cover: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """Scan plain print: uint8 (H, W, 3), and its ink, from the ink's cover in 255ths, uint8 (H, W).

    Even ink on even paper, a little blur and noise; ink is nearer to the ink's grey than to the paper's.
    """
    soft = blur(cover.astype(np.float32) / np.float32(255), rng.uniform(0, 0.7) * (rng.random() < 0.5))
    dark, light = rng.uniform(0.02, 0.3), rng.uniform(0.8, 1.0)
    tint = 1 + rng.normal(0, 0.015, 3).astype(np.float32) * (rng.random() < 0.4)
    page = (np.float32(light) + np.float32(dark - light) * soft)[..., None] * tint
    page = Noise(level=(0.0, 0.03), probability=0.7)(np.asarray(np.clip(page, 0, 1), np.float32), rng)
    return to_uint8(Jpeg(quality=(60, 95), probability=0.3)(page, rng)), soft >= np.float32(0.5)


def _check(name: str, mask: Mask) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DataError(f"degrade: found {name} of {found}, expected bool (H, W), at least 1 x 1")
