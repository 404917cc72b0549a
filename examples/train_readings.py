"""Train a model whose samples are readings: its second part, on verdicts that were cross-fitted.

python examples/train_readings.py OUT --folds MODEL=PAGES MODEL=PAGES --first MODEL [--set KEY=VALUE ...]

Every MODEL gives verdicts (flowkit/weights/readings-fix.md has its recipe) and was trained WITHOUT the PAGES
beside it, folders separated by commas. The second part learns on these how far a verdict can be trusted. It
is put together with `--first`, a model for verdicts that was trained on all pages, in
OUT/readings.safetensors.
"""

import argparse
from pathlib import Path

from flowkit import load, save
from flowkit.checkpoint import trained_on
from flowkit.data import Task, training_set
from flowkit.degradations import degradations_from
from flowkit.recipe import Recipe, read_recipe
from flowkit.training import train
from flowkit.training.cross_fit import CrossFit
from flowkit.training.stacking import stack, without_first

KINDS = {"light": (1.0, 1.0), "scans": (0.75, 1.35)}  # preset -> zoom: half of the patches each


def cross_fitted(folds: list[str], recipe: Recipe) -> CrossFit:
    """Return patches of every fold's pages, for the model that has not seen them."""
    found = []
    for model, _, pages in (fold.partition("=") for fold in folds):
        for seed, (preset, zoom) in enumerate(KINDS.items(), start=1):
            patches = training_set(
                pages.split(","), task=Task(binary=True, multiple=32), patch=recipe.train.patch, seed=seed,
                length=2**40, degrade=degradations_from(preset), zoom=zoom,
            )  # fmt: skip
            found.append((load(model), patches))
    return CrossFit(found)


def main() -> None:
    """Read the command line, train, put together."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", nargs="+", metavar="MODEL=PAGES", required=True)
    parser.add_argument("--first", metavar="MODEL", required=True)
    parser.add_argument("--recipe", default="readings")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe, args.set)
    data = cross_fitted(args.folds, recipe)
    second = train(without_first(recipe), data, args.out, workers=0)
    whole = stack(load(args.first), second, recipe)
    save(whole, args.out / "readings.safetensors", pages=data.fingerprints | trained_on(args.first))


if __name__ == "__main__":
    main()
