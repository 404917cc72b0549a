"""`flowkit build-kernels`: compile the coupling and the affine op, once for this machine."""

from __future__ import annotations

import argparse

import torch

from flowkit.errors import KernelError
from flowkit.ops import build, build_cache, coupling_library
from flowkit.ops.build import KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Compile the coupling for processors, unless the installation did, and the affine op. flowkit works "
        "without them, but more slowly. Needs a C++ compiler, for the op also ninja (pip install "
        "'flowkit-nf[kernels]'), for CUDA nvcc; no GPU has to be present."
    )
    parser.add_argument(
        "--device", choices=KINDS, help="cuda builds both (default: cuda if this torch has it, else cpu)"
    )
    parser.add_argument("--force", action="store_true", help="rebuild existing libraries")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build missing libraries, and print their paths.

    Raises:
        KernelError: a compiler is missing, or a library cannot be built.
    """
    library = None if args.force else coupling_library.find()
    print(f"{library or coupling_library.build()}: {'is there already' if library else 'built'}", flush=True)
    last = args.device or ("cpu" if torch.version.cuda is None else "cuda")
    for kind in KINDS[: KINDS.index(last) + 1]:
        plan = build.plan(kind)
        library = None if args.force else build.prebuilt(plan) or build_cache.find(plan.name)
        done = "is there already" if library else "built"
        try:
            library = library or build.build(plan)
        except KernelError as error:
            raise KernelError(f"the kernels for {kind} cannot be built: {error}") from None
        print(f"{library}: {done}", flush=True)
    return 0
