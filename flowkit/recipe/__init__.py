"""Recipes: YAML that names registered layers -> a checked `Recipe` -> a model."""

from flowkit.plugins import import_modules
from flowkit.recipe.build import build
from flowkit.recipe.find import shipped
from flowkit.recipe.recipe import Recipe, read_recipe, read_recipe_text
from flowkit.recipe.train import TrainOptions

__all__ = [
    "Recipe",
    "TrainOptions",
    "build",
    "import_modules",
    "read_recipe",
    "read_recipe_text",
    "shipped",
]
