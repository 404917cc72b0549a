"""`flowkit convert`: weights of another program -> a flowkit checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowkit.checkpoint import save
from flowkit.errors import OutputError
from flowkit.interop.srflow import from_srflow
from flowkit.interop.state_dict import read_state

# What SRFlow's released networks stack: at 4x, and at 8x and beyond.
STACKS = {4: [1, 8, 15, 22], 8: [1, 3, 5, 7]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("program", choices=["srflow"], help="the program that wrote the weights")
    parser.add_argument("source", metavar="IN", help="a .pth or .safetensors file")
    parser.add_argument("out", metavar="OUT.safetensors", help="the checkpoint to write")
    parser.add_argument("--scale", type=int, required=True, help="target pixels per image pixel")
    parser.add_argument(
        "--stack",
        type=int,
        nargs="*",
        metavar="BLOCK",
        help="encoder blocks whose outputs are stacked (default: 1 8 15 22; for scale 8 and more 1 3 5 7)",
    )
    parser.add_argument(
        "--long-skip",
        choices=["trunk", "first"],
        default="trunk",
        help="where the encoder's long skip starts (default: trunk, as in SRFlow's code)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, and print a description of the model.

    Raises:
        CheckpointError: the weights cannot be read, or are not of such a network.
        OutputError: the name is no checkpoint's, or the file cannot be written.
    """
    if Path(args.out).suffix != ".safetensors":
        raise OutputError(f"{args.out}: a checkpoint's name must end in .safetensors")
    stack = STACKS[8 if args.scale >= 8 else 4] if args.stack is None else args.stack
    state = read_state(args.source)
    model = from_srflow(state, scale=args.scale, stack=stack, long_skip=args.long_skip)
    save(model, args.out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{args.out}: {len(model.layers):,} layers, {parameters:,} parameters")
    return 0
