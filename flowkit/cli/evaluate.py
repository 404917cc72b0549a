"""`flowkit evaluate`: a model against pages whose truth is known."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from tqdm import tqdm

from flowkit.checkpoint import trained_on
from flowkit.cli.options import add_import, add_threads, prepare
from flowkit.data import Page, find_pairs, load_pages
from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError
from flowkit.metrics import dibco
from flowkit.pages import binarize
from flowkit.pages.binary import load_binary

SCORES = ("f_measure", "fps", "psnr", "drd", "recall", "precision")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser("evaluate", help="score a binarization model on pages with truth")
    parser.add_argument("model", help="the name of weights that ship with flowkit, or a checkpoint")
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="SET", help="folders with `img` and `gt`, at any depth"
    )
    parser.add_argument(
        "--allow-train", action="store_true", help="score pages that the model was trained on, too"
    )
    add_import(parser)
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores of every page at temperature 0, and their mean over each set."""
    prepare(args)
    pairs = {folder: find_pairs([folder]) for folder in args.data}
    model = load_binary(args.model)
    seen = frozenset() if args.allow_train else trained_on(args.model)
    width = max(len(str(image)) for found in pairs.values() for image, _ in found)
    print(" ".join([f"{'page':<{width}}", *(f"{name:>9}" for name in SCORES)]))
    for folder, found in pairs.items():
        scores = []
        for image, truth in tqdm(found, unit="page", disable=args.quiet):
            [page] = load_pages([(image, truth)])
            assert page.ink is not None
            _refuse(page, seen, args.model)
            scores.append(dibco.evaluate(binarize(image, model=model).binary, page.ink))
            tqdm.write(_row(str(image), scores[-1], width))
        means = {name: statistics.fmean(score[name] for score in scores) for name in SCORES}
        print(_row(f"mean of {len(scores)} in {Path(folder)}", means, width))
    return 0


def _refuse(page: Page, seen: frozenset[str], model: str) -> None:
    if fingerprint(page.image) in seen:
        raise DataError(
            f"{page.name}: {model} was trained on this page; --allow-train scores it all the same"
        )


def _row(name: str, scores: dict[str, float], width: int) -> str:
    return " ".join([f"{name:<{width}}", *(f"{scores[key]:9.2f}" for key in SCORES)])
