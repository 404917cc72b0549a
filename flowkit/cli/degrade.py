"""`flowkit degrade`: a contact sheet of degradations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flowkit import registry
from flowkit.cli.options import add_import, natural, positive, prepare
from flowkit.degradations import PRESETS, Compose, Degradation, degradations_file, degradations_from
from flowkit.degradations.scan import drawn_pair
from flowkit.degradations.texture import to_uint8
from flowkit.images.reader import read
from flowkit.images.writer import PHOTO_SUFFIXES, check_output, write_picture

DRAWN = "drawn"
GAP, LABEL = 4, 16

Page = tuple[NDArray[np.float32], NDArray[np.bool_] | None]
Row = tuple[str, Compose]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument(
        "page", nargs="?", default=DRAWN, help=f'an image, or "{DRAWN}" (default) for a drawn page'
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--preset", choices=sorted(PRESETS), help="a named list of degradations")
    which.add_argument(
        "--spec", metavar="FILE", help="a YAML file: degradations, a list of names and options"
    )
    parser.add_argument("--out", "-o", required=True, metavar="SHEET.png", help="the picture to write")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the sheet (default: 0)")
    parser.add_argument("--columns", type=positive, default=6, help="tries of each degradation (default: 6)")
    parser.add_argument("--tile", type=positive, default=192, help="side of each tile (default: 192 pixels)")
    add_import(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read or draw the page, degrade it, write the sheet."""
    prepare(args)
    check_output(args.out, suffixes=PHOTO_SUFFIXES)
    rows = _rows(args)
    sheet = _sheet(_page(args), rows, args.columns, args.seed)
    write_picture(args.out, np.asarray(sheet), lossy=True)
    print(f"{args.out}: {len(rows) + 1} rows, {sheet.width} x {sheet.height}")
    return 0


def _rows(args: argparse.Namespace) -> list[Row]:
    """Yield each degradation alone, at every try, then all together: of one list, or of all."""
    if args.preset or args.spec:
        every = degradations_file(args.spec) if args.spec else degradations_from(args.preset)
        names = {registry.get(Degradation.kind, n): n for n in registry.names(Degradation.kind)}
        alone = [
            (f"{i + 1}. {names[type(step)]} ({step.probability:.0%})", Compose([_always(step)]))
            for i, step in enumerate(every.steps)
        ]
        return [*alone, *[(args.preset or args.spec, every)] * 3]
    single = [name for name in registry.names(Degradation.kind) if name != "one_of"]
    rows = [(name, degradations_from([name])) for name in single]
    return [*rows, *[(f"preset {name}", degradations_from(name)) for name in PRESETS for _ in range(2)]]


def _always(step: Degradation) -> Degradation:
    options = {name: getattr(step, name) for name in registry.options(type(step))}
    return type(step)(**{**options, "probability": 1.0})


def _page(args: argparse.Namespace) -> Page:
    """Return a tile of a page: the middle of an image, whose ink is unknown, or a drawn one."""
    if args.page == DRAWN:
        image, ink = drawn_pair(np.random.default_rng(args.seed), args.tile, args.tile, [])
        return image.astype(np.float32) / np.float32(255), ink
    picture = read(args.page)
    top, left = (max(0, (n - args.tile) // 2) for n in picture.size)
    height, width = (min(n, args.tile) for n in picture.size)
    window = picture.window(slice(top, top + height), slice(left, left + width), 3)
    return np.ascontiguousarray(window[0].permute(1, 2, 0).numpy()), None


def _sheet(page: Page, rows: Sequence[Row], columns: int, seed: int) -> Image.Image:
    image, ink = page
    height, width = image.shape[:2]
    step = height + LABEL + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, (len(rows) + 1) * step), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (label, degrade) in enumerate([("the page", Compose([])), *rows]):
        top = number * step
        pen.text((GAP, top + 2), label, fill="black")
        for column in range(columns if number else 1):
            out = degrade(image, np.random.default_rng((seed, number, column)), ink=ink)
            sheet.paste(Image.fromarray(to_uint8(out)), (GAP + column * (width + GAP), top + LABEL))
    return sheet
