"""Recipes, read, overridden and checked; nothing is built yet."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from typing import Any

from flowkit.recipe.document import Document, Problems
from flowkit.recipe.find import RecipeSource, load, load_text
from flowkit.recipe.overrides import Overrides, apply
from flowkit.recipe.parts import Part
from flowkit.recipe.schema import KEYS, RecipePlan, check, unroll
from flowkit.recipe.train import TrainOptions
from flowkit.recipe.yaml_writer import dump


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. Two are equal if they say the same, wherever they were written.

    Attributes:
        data: what the recipe says: `extends` and overrides merged in, variables kept.
        resolved: the same with the variables put in.
        plan: its parts, with their options as the classes take them.
        document: the data with their places in the files, for error messages.
    """

    data: dict[str, Any]
    resolved: dict[str, Any] = field(repr=False, compare=False)
    plan: RecipePlan = field(repr=False, compare=False)
    document: Document = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return its name, "unnamed" if it has none."""
        return str(self.data.get("name", "unnamed"))

    @property
    def about(self) -> str:
        """Return its description, a sentence."""
        return str(self.data.get("about", ""))

    @property
    def train(self) -> TrainOptions:
        """Return its options of training."""
        return self.plan.train

    @property
    def layers(self) -> list[Part]:
        """Return the layers of the flow, repeats unrolled, from data to latent."""
        return unroll(self.plan.flow)

    def text(self) -> str:
        """Write YAML that `read_recipe_text` reads back as an equal recipe; it needs no other file."""
        return dump(self.data)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def read_recipe(
    source: RecipeSource | Recipe, overrides: Overrides | None = None, *, extends_anywhere: bool = False
) -> Recipe:
    """Read and check a recipe.

    Args:
        source: a file, the name of a shipped recipe, a mapping, or a recipe that was read before.
        overrides: `["vars.steps=8"]` or `{"vars.steps": 8}`.
        extends_anywhere: let it extend files outside of its folder; by default only files below that, and
            shipped recipes.

    Raises:
        RecipeError: all that is wrong with it, one message and one place each.
    """
    if isinstance(source, Recipe):
        document = copy.deepcopy(source.document)
    else:
        document = load(source, extends_anywhere=extends_anywhere)
    return _checked(document, overrides)


def read_recipe_text(text: str, origin: str = "<checkpoint>") -> Recipe:
    """Read and check a recipe from its text; `origin` is what error messages call it.

    Raises:
        RecipeError: as `read_recipe`.
    """
    return _checked(load_text(text, origin), None)


def _checked(document: Document, overrides: Overrides | None) -> Recipe:
    problems = Problems()
    apply(document, overrides, problems)
    plan, resolved = check(document, problems)
    data = {key: document.data[key] for key in KEYS if key in document.data}
    return Recipe(data, resolved, plan, document)
