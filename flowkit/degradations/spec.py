"""Degradations from lists of names and options, in the language of a recipe's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from flowkit.degradations.base import Compose, Degradation, Scene
from flowkit.degradations.presets import PRESETS
from flowkit.degradations.texture import Array
from flowkit.errors import DataError, suggest
from flowkit.recipe.document import Document, Problems, from_dict
from flowkit.recipe.parts import make_part, read_parts
from flowkit.recipe.yaml_text import read_file
from flowkit.registry import register

KEY = "degradations"
Steps = Sequence["str | Mapping[str, Any]"]


@register("one_of")
@dataclass(frozen=True, kw_only=True)
class OneOf(Degradation):
    """One of several degradations, all equally likely; a name that is given twice is twice as likely.

    Raises:
        DataError: none is given, or an option is out of its limits.
    """

    of: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if not self.of:
            raise DataError("OneOf: of must name at least one degradation")

    def notes(self) -> list[str]:
        """List the notes of all of them."""
        return [note for degradation in self.of for note in degradation.notes()]

    def apply(self, image: Array, scene: Scene) -> Array:
        """Apply the one that was drawn, with its own probability."""
        chosen = self.of[int(scene.rng.integers(len(self.of)))]
        return chosen(image, scene.rng, ink=scene.ink, other=scene.other, paper=scene.paper)


def degradations_from(spec: str | Steps) -> Compose:
    """Make the degradations of a preset's name or of a list of steps, to be applied in its order.

    A step is a name, or a mapping with `type` and options: `["jpeg", {"type": "stain", "count": [0, 4],
    "probability": 0.5}]`. `flowkit layers --kind degradation` lists names and options.

    Raises:
        RecipeError: all that is wrong with the list: unknown names and options, values of another type or
            out of their limits, each with its place.
        DataError: no preset has that name.

    >>> worse = degradations_from(["grey", {"type": "jpeg", "quality": [20, 40]}])
    >>> [type(step).__name__ for step in worse.steps]
    ['Grey', 'Jpeg']
    """
    if isinstance(spec, str):
        if spec not in PRESETS:
            raise DataError(f'unknown preset "{spec}"; {suggest(spec, PRESETS)}')
        spec = PRESETS[spec]
    return _read(from_dict({KEY: spec}))


def degradations_file(path: str | PathLike[str]) -> Compose:
    """Read the degradations of a YAML file with one key, `degradations`, that holds a list of steps.

    Raises:
        RecipeError: the file cannot be read, or its list is wrong; messages have line numbers.
    """
    return _read(read_file(Path(path)))


def _read(document: Document) -> Compose:
    problems = Problems()
    report = problems.reporter(document)
    for key in document.data:
        if key != KEY:
            report(f'a list of degradations has no key "{key}"; {suggest(key, (KEY,))}', (key,))
    parts = read_parts("degradation", document.data.get(KEY), (KEY,), report)
    made = [make_part(part, report) for part in parts]
    problems.check()
    return Compose([step for step in made if step is not None])
