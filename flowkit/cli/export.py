"""`flowkit export`: a model as a file for PyTorch or ONNX, to run without flowkit."""

from __future__ import annotations

import argparse

from flowkit.checkpoint import load
from flowkit.cli.options import add_import, add_threads, prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("model", metavar="MODEL", help="name of a shipped model, or a checkpoint")
    parser.add_argument("out", metavar="OUT", help="the file to write: OUT.pt2 (PyTorch) or OUT.onnx")
    parser.add_argument(
        "--what",
        choices=["mode", "sample", "log_prob"],
        default="mode",
        help="mode: image -> y at temperature 0 (default); sample: image, latents -> y; log_prob: image, y, "
        "noise -> log p(y | image)",
    )
    add_import(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, and print a description of the file."""
    prepare(args)
    from flowkit.export import export  # `--help` needs no compiler

    model = load(args.model)
    export(model, args.out, what=args.what)
    sides = f"height and width are multiples of {model.multiple}, " if model.multiple > 1 else ""
    print(f"{args.out}: {args.what} of {args.model}; {sides}the result {model.scale} times as large")
    return 0
