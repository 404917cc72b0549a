"""What `flowkit binarize` and `flowkit upscale` share: options of a batch, and what is printed of it."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from flowkit.batch import BatchJob, Task, html, run
from flowkit.batch.report import REPORT
from flowkit.cli.options import add_device, add_import, add_threads, natural, positive, prepare, size
from flowkit.cli.progress import Display
from flowkit.images.reader import MAX_PIXELS
from flowkit.pages.memory import MEMORY
from flowkit.pages.precision import Precision


def add_places(parser: argparse.ArgumentParser, suffixes: tuple[str, ...]) -> None:
    """Add the options of what goes in, and where it comes out."""
    parser.add_argument(
        "input", nargs="+", metavar="IN",
        help="files (PNG, JPEG, TIFF, PDF, JPEG 2000, WebP, ...), folders with their subfolders, quoted "
        "patterns ('scans/**/*.tif'), fsspec URLs of any of these (s3://archive/scans), or - for a list of "
        "paths and URLs on standard input",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", required=True, metavar="OUT",
        help=f"one file: the file to write ({', '.join(suffixes)}), or a folder; otherwise a folder, made if "
        "it is not there, in which the tree of the input is kept; either may be a URL. TIFF and PDF take all "
        "pages of a file, other formats get a file per page",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=[s.removeprefix(".") for s in suffixes],
        help="of the files in the folder OUT (default: png)",
    )  # fmt: skip


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options of how the work is done."""
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="of the samples (%(default)s)")
    parser.add_argument(
        "--save-samples", metavar="SAMPLES",
        help="also write every sample, numbered: s.png gives s-01.png, s-02.png, ...; "
        "a folder where OUT is one",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=size, metavar="SIZE",
        help="most memory to use, by all --jobs on a machine together, such as 800MB or 4GB (default: 2GB "
        "each): less needs more time, for the same result",
    )  # fmt: skip
    parser.add_argument(
        "--max-pixels", type=positive, default=MAX_PIXELS, metavar="N",
        help="refuse larger images (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="float32",
        help="of the encoder: bfloat16 is quicker on processors that have it, for nearly the same result "
        "(default: float32)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=positive, default=1, metavar="N",
        help="pages to work on at a time, each in a process with its share of --threads (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="ray: on the cluster that RAY_ADDRESS names, or on one that is started on this machine; all "
        "machines see the folders under the same paths, or reach the same URLs (default: local)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true",
        help=f"do pages again that are done; by default those are left out whose files are in the folder OUT "
        f"and, by its {REPORT}, were made from the same input in the same way",
    )  # fmt: skip
    parser.add_argument(
        "--verify", action="store_true",
        help="read all bytes of results that are there, and do those again that are not as they were written "
        "(default: compare their sizes)",
    )  # fmt: skip
    parser.add_argument(
        "--html", action="store_true",
        help=f"write {html.NAME} into the folder OUT: every page, what to look at first on top",
    )  # fmt: skip
    add_device(parser)
    add_import(parser)
    add_threads(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="do not show how far it is")


def shared(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a `Task` that both verbs have."""
    memory = MEMORY if args.memory is None else args.memory // (args.jobs if args.engine == "local" else 1)
    names = ("model", "temperature", "samples", "seed", "max_pixels", "precision", "device")
    return {name: getattr(args, name) for name in names} | {"memory": memory}


def run_batch(args: argparse.Namespace, task: Task, **more: Any) -> int:
    """Do all pages; return 0, or 1 if some failed.

    Raises:
        FlowkitError: an input or an option that cannot be used, and the failure of an only page.
    """
    prepare(args)
    names = ("out", "format", "save_samples", "overwrite", "verify", "html", "jobs", "engine", "modules")
    job = BatchJob(args.input, task=task, **{name: getattr(args, name) for name in names}, **more)
    with Display(jobs=args.jobs, quiet=args.quiet) as display, run(job, display.part) as pages:
        display.begin(pages, args.out)
        for record in pages:
            display.show(record, pages.result(record))
        return display.end(pages)
