"""A clean page made into a scan: paper, verso, ink, stains, light, optics, sensor, JPEG, in that order.

Each step is a function of a page (H, W, 3), float32 in [0, 1], and a generator; it returns a new page and
leaves its input alone. The values are display values, as in the scans themselves, not linear light. Every
step takes a `strength`: 0 changes nothing (or makes the plain case), 1 is an ordinary old page, 2 a bad one.
`degrade` composes them all. Lengths are in pixels of a scan whose text is 20 to 60 pixels high.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flowkit.data.texture import Array, blur, smooth_field, smoothstep
from flowkit.errors import DataError

Mask = NDArray[np.bool_]

# per channel: what aged paper reflects, and how much of each light the inks and stains take
_PAPERS = np.array(
    [(0.93, 0.89, 0.80), (0.90, 0.84, 0.71), (0.94, 0.92, 0.86), (0.86, 0.79, 0.66)], np.float32
)
_INKS = np.array([(0.84, 0.96, 1.06), (0.95, 0.99, 1.02), (0.74, 0.95, 1.12)], np.float32)
_YELLOWING = np.array((0.6, 1.0, 1.6), np.float32)
_VERSO = np.array((0.75, 1.0, 1.2), np.float32)
_WATER = np.array((0.45, 0.85, 1.35), np.float32)
_RUST = np.array((0.35, 1.0, 1.6), np.float32)


def paper(shape: tuple[int, int], rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Empty paper of `shape` (H, W): a colour, yellowing, darker edges, cloudy pulp, fibres, laid lines."""
    height, width = shape
    colour = _PAPERS[rng.integers(len(_PAPERS))] + rng.normal(0, 0.015) * _YELLOWING
    slow = smooth_field(height, width, 0.35 * (height + width), rng, 2)
    pulp = smooth_field(height, width, 14, rng, 3)
    fibre = smooth_field(height, width, 2.2, rng)
    grain = 0.030 * slow + 0.011 * pulp + 0.014 * fibre
    if rng.random() < 0.6:
        grain += _laid_lines(height, width, rng)
    density = strength * (_edge_tone(height, width, rng) - grain)
    return np.clip(_absorb(colour, density, _YELLOWING), 0, 1)


def _laid_lines(height: int, width: int, rng: np.random.Generator) -> Array:
    """The mark of the mould: fine ribs, crossed by chain lines far apart."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sway = 1.5 * smooth_field(height, width, 200, rng)
    ribs = np.sin(2 * np.pi / rng.uniform(7, 11) * (y + sway))
    chain = np.abs((x + sway) / rng.uniform(150, 240) % 1 - 0.5)
    lines = 0.007 * ribs - 0.02 * np.exp(-((chain / 0.008) ** 2))
    return np.asarray(lines * (1 + 0.4 * smooth_field(height, width, 120, rng)), np.float32)


def _edge_tone(height: int, width: int, rng: np.random.Generator) -> Array:
    """Density of the browning that air and hands leave along the edges of a leaf."""
    reach = 0.05 * (height + width) / 2 + 1
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    away = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    away = away * (1 + 0.25 * smooth_field(height, width, reach * 2, rng, 3))
    return np.asarray(rng.uniform(0.08, 0.22) * np.exp(-np.maximum(away, 0) / reach), np.float32)


def bleed_through(page: Array, verso: Mask, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """The other side of the leaf: the ink of `verso` (H, W), mirrored, blurred, faint, in patches."""
    height, width = verso.shape
    mirrored = verso[:, ::-1].astype(np.float32)
    patches = smoothstep(smooth_field(height, width, 0.25 * (height + width), rng, 3), -1.2, 1.4)
    seen = 0.55 * blur(mirrored, rng.uniform(1.0, 2.0)) + 0.45 * blur(mirrored, rng.uniform(3, 5))
    seen = seen * (0.25 + 0.75 * patches) * (1 + 0.15 * smooth_field(height, width, 5, rng))
    density = strength * rng.uniform(0.30, 0.60) * seen
    return _absorb(page, density, _VERSO)


def ink(page: Array, truth: Mask, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """The ink of `truth` (H, W): edges that creep outwards, uneven load, fading by region, worn specks."""
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
    return _absorb(page, load * (cover * keep + halo), _INKS[rng.integers(len(_INKS))])


def stains(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """What was spilt: pale or ringed water marks, at times over an edge, and rusty spots (foxing)."""
    height, width = page.shape[:2]
    size = float(np.sqrt(height * width))
    water = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(1.6 * strength)):
        _water_mark(water, rng, radius=size * rng.uniform(0.06, 0.22))
    rust = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(4.0 * strength * rng.exponential())):
        _spot(rust, rng)
    return _absorb(_absorb(page, strength * water, _WATER), strength * rust, _RUST)


def _water_mark(density: Array, rng: np.random.Generator, radius: float) -> None:
    """Add one blotch to `density`; its outline wanders, and most dry with a dark line at their edge."""
    height, width = density.shape
    cx, cy = rng.uniform(-0.05, 1.05) * width, rng.uniform(-0.05, 1.05) * height
    x0, x1 = (int(np.clip(cx + side * 1.9 * radius, 0, width)) for side in (-1, 1))
    y0, y1 = (int(np.clip(cy + side * 1.9 * radius, 0, height)) for side in (-1, 1))
    if x1 <= x0 or y1 <= y0:
        return
    shape = (y1 - y0, x1 - x0)
    x, y = np.arange(x0, x1, dtype=np.float32) - cx, (np.arange(y0, y1, dtype=np.float32) - cy)[:, None]
    stretch = rng.uniform(0.7, 1.4)
    away = np.hypot(x * stretch, y / stretch) / radius + 0.16 * smooth_field(*shape, 0.7 * radius, rng, 4)
    cloud = 1 + 0.2 * smooth_field(*shape, 0.3 * radius, rng, 3)
    depth = rng.uniform(0.06, 0.20)
    if rng.random() < 0.7:
        inside = 1 - smoothstep(away, 0.98, 1.02)
        # a tide line: sharp outside, fading inwards
        line = inside * np.exp(-np.maximum(1 - away, 0) / rng.uniform(0.02, 0.06))
        blotch = depth * (0.6 * inside + rng.uniform(0.6, 1.6) * line)
    else:
        blotch = 1.6 * depth * (1 - smoothstep(away, 0.2, 1.25))
    density[y0:y1, x0:x1] += np.maximum(blotch * cloud, 0)


def _spot(density: Array, rng: np.random.Generator) -> None:
    """Add one small soft spot to `density`."""
    height, width = density.shape
    radius = min(rng.lognormal(1.1, 0.6), 14.0)
    cx, cy, reach = rng.uniform(0, width), rng.uniform(0, height), 3 * radius
    x = np.arange(max(0, int(cx - reach)), min(width, int(cx + reach) + 1), dtype=np.float32)
    y = np.arange(max(0, int(cy - reach)), min(height, int(cy + reach) + 1), dtype=np.float32)
    away = np.hypot(x - cx, y[:, None] - cy) / radius
    away += 0.2 * smooth_field(len(y), len(x), max(1.0, radius), rng)
    density[int(y[0]) : int(y[-1]) + 1, int(x[0]) : int(x[-1]) + 1] += rng.uniform(0.08, 0.35) * np.exp(
        -(away**2)
    )


def uneven_light(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """A lamp to one side, darker corners, and at times the shadow of the gutter along one side."""
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
    """Stray light and a tone curve: black is lifted, white lowered, gamma moved a little."""
    low, high = strength * rng.uniform(0.0, 0.07), 1 - strength * rng.uniform(0.0, 0.06)
    gamma = np.exp(strength * rng.normal(0, 0.08))
    return np.asarray(low + max(high - low, 0.2) * page**gamma, np.float32)


def optics(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """The blur of the lens: Gaussian, up to about one pixel at strength 1."""
    return blur(page, strength * rng.uniform(0.2, 0.8))


def sensor_noise(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Noise that grows with the light (shot noise) on a constant floor, largely shared by the channels."""
    height, width = page.shape[:2]
    level = strength * rng.uniform(0.006, 0.016)
    shared = rng.standard_normal((height, width, 1), dtype=np.float32)
    own = rng.standard_normal((height, width, 3), dtype=np.float32)
    noise = level * np.sqrt(0.3 + 0.7 * page) * (0.8 * shared + 0.6 * own)
    return np.asarray(np.clip(page + noise, 0, 1), np.float32)


def jpeg(page: Array, rng: np.random.Generator, strength: float = 1.0) -> Array:
    """Through a JPEG file and back: quality 75 to 95 at strength 1, lower beyond it."""
    if strength <= 0:
        return page
    quality = int(np.clip(100 - strength * rng.uniform(5, 25), 20, 100))
    file = io.BytesIO()
    Image.fromarray(to_uint8(page)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / np.float32(255)


def degrade(
    truth: Mask, rng: np.random.Generator, strength: float = 1.0, *, verso: Mask | None = None
) -> NDArray[np.uint8]:
    """A scan, uint8 (H, W, 3), of the page whose ink is `truth`, bool (H, W).

    `verso` is the page on the back of the leaf, of the same shape, as its reader sees it; left out, it is the
    page itself, moved up or down. `strength` 0 gives dark ink on plain paper, 1 an ordinary old page, 2 a bad
    one. The same `truth`, state of `rng` and strength give the same scan.

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
    page = bleed_through(page, verso, rng, strength)
    page = ink(page, truth, rng, strength)
    page = stains(page, rng, strength)
    page = uneven_light(page, rng, strength)
    page = optics(page, rng, strength)
    page = contrast(page, rng, strength)
    page = sensor_noise(page, rng, strength)
    return to_uint8(jpeg(page, rng, strength))


def to_uint8(page: Array) -> NDArray[np.uint8]:
    """Values in [0, 1] to the nearest of 0 to 255."""
    return np.round(np.clip(page, 0, 1) * 255).astype(np.uint8)


def _absorb(page: Array, density: Array, channels: Array) -> Array:
    """A page or colour (..., 3) behind a layer of `density` (H, W) that takes more of some colours."""
    return np.asarray(page * np.exp(-density[..., None] * np.asarray(channels, np.float32)), np.float32)


def _check(name: str, mask: Mask) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DataError(f"degrade: found {name} of {found}, expected bool (H, W), at least 1 x 1")
