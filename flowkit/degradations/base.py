"""The base class of degradations, and their composition."""

# No postponed annotations here: subclasses in other files inherit these annotations, which are read as
# schemas.
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from flowkit.degradations.texture import Array, blur, resized
from flowkit.errors import DataError

Mask = NDArray[np.bool_]
Other = Callable[[], NDArray[Any]]
Range = tuple[float, float]


class Between(NamedTuple):
    """The bounds of an option, or of each end of a range."""

    least: float
    most: float


class Scene(NamedTuple):
    """Inputs of a degradation besides the image.

    Attributes:
        rng: the only source of randomness.
        ink: where the ink is, bool (H, W), if that is known.
        other: makes another page, (H, W, 3) in [0, 1], which shines through; None if there is none.
        paper: makes the paper of another page, of the image's shape, without its ink; None if there is none.
    """

    rng: np.random.Generator
    ink: Mask | None
    other: Other | None
    paper: Other | None


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """A change of a page: image (H, W, 3) in [0, 1] -> the same page, degraded.

    Ink stays where it is, so that the truth stays valid. A subclass is a frozen dataclass: its fields are the
    options that specs may set. Strengths are ranges `[low, high]`, from which a number is drawn for each
    image; limits are annotated with `Between`. A new degradation needs only `apply`:

        @register("haze")
        @dataclass(frozen=True, kw_only=True)
        class Haze(Degradation):
            amount: Annotated[Range, Between(0, 1)] = (0.0, 0.3)

            def apply(self, image, scene):
                return image + (1 - image) * draw(scene.rng, self.amount)

    Args:
        probability: the share of images that are degraded; others are returned unchanged.

    Raises:
        DataError: an option is out of its limits, or a range ends before it begins.
    """

    kind: ClassVar[str] = "degradation"
    probability: Annotated[float, Between(0, 1)] = 1.0

    def __post_init__(self) -> None:
        """Check the options."""
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            if get_origin(hint) is Annotated:
                limits = next(extra for extra in get_args(hint) if isinstance(extra, Between))
                _check(type(self).__name__, name, getattr(self, name), limits)

    def __call__(
        self,
        image: Array,
        rng: np.random.Generator,
        *,
        ink: Mask | None = None,
        other: Other | None = None,
        paper: Other | None = None,
    ) -> Array:
        """Return the degraded image: float32 in [0, 1], of the same shape; the input is not changed.

        Args:
            image: float32 (H, W, 3) in [0, 1].
            rng: its state decides everything that is random.
            ink: where the ink is, bool (H, W); if left out, it is estimated where needed.
            other: makes another page, which shines through; if left out, writing is drawn.
            paper: makes the paper of another page, of the image's shape; if left out, paper is drawn.
        """
        if self.probability < 1 and rng.random() >= self.probability:
            return image
        out = self.apply(image, Scene(rng, ink, other, paper))
        return np.asarray(np.clip(out, 0, 1), np.float32)

    def notes(self) -> list[str]:
        """List notes for the user of this degradation; by default there are none."""
        return []

    def apply(self, image: Array, scene: Scene) -> Array:
        """Return the degraded image, never in place; the caller clips values to [0, 1]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Compose:
    """Degradations one after the other.

    >>> Compose([])(np.ones((2, 3, 3), np.float32), np.random.default_rng(0)).shape
    (2, 3, 3)
    """

    steps: Sequence[Degradation]

    def __post_init__(self) -> None:
        """Make the steps immutable."""
        object.__setattr__(self, "steps", tuple(self.steps))

    def __call__(
        self,
        image: Array,
        rng: np.random.Generator,
        *,
        ink: Mask | None = None,
        other: Other | None = None,
        paper: Other | None = None,
    ) -> Array:
        """Apply all steps in order."""
        for step in self.steps:
            image = step(image, rng, ink=ink, other=other, paper=paper)
        return image

    def notes(self) -> list[str]:
        """List the notes of all steps, each once."""
        return list(dict.fromkeys(note for step in self.steps for note in step.notes()))


def draw(rng: np.random.Generator, limits: Range) -> float:
    """Draw a number from a range; an empty range does not advance the generator."""
    low, high = limits
    return low if low == high else float(rng.uniform(low, high))


def absorb(page: Array, density: Array, channels: Sequence[float] | Array) -> Array:
    """Return a page or colour (..., 3) behind a layer of `density` (H, W) that absorbs some colours more."""
    out = np.empty((*density.shape, 3), np.float32)
    # one channel after the other is twice as fast as a last axis of 3
    for c, share in enumerate(np.asarray(channels, np.float32)):
        out[..., c] = page[..., c] * np.exp(-density * share)
    return out


def paper_around(image: Array) -> Array:
    """Return the paper's colour around each pixel, (H, W, 3): the lightest within 24 pixels, smoothed."""
    cell = 16
    rows, columns = (np.arange(0, n, cell) for n in image.shape[:2])
    light = np.maximum.reduceat(np.maximum.reduceat(image, rows, axis=0), columns, axis=1)
    padded = np.pad(light, ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = [padded[i : i + len(rows), j : j + len(columns)] for i in range(3) for j in range(3)]
    smooth = blur(np.max(near, axis=0), 0.7)
    return np.clip(resized(smooth, (image.shape[1], image.shape[0])), 0, 1)


def _check(owner: str, name: str, value: Any, limits: Between) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    if any(not (math.isfinite(n) and limits.least <= n <= limits.most) for n in numbers):
        expected = f"{limits.least:g} to {limits.most:g}"
        raise DataError(f"{owner}: {name} must be within {expected}, got {_shown(value)}")
    if list(numbers) != sorted(numbers):
        raise DataError(f"{owner}: {name} must be [low, high] with low <= high, got {_shown(value)}")


def _shown(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
