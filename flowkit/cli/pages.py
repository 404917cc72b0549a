"""Options and output that `flowkit binarize`, `flowkit clean` and `flowkit upscale` share."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from flowkit.batch import BatchJob, Task, html, run
from flowkit.batch.jobs import free_memory
from flowkit.batch.report import REPORT
from flowkit.cli.options import add_device, add_import, add_threads, dpi, natural, positive, prepare, size
from flowkit.cli.progress import Display
from flowkit.images.reader import MAX_PIXELS
from flowkit.pages.memory import MEMORY
from flowkit.pages.precision import Precision
from flowkit.pages.working_scale import MOST, Scale, check_scale

_SCALES: dict[str, Scale] = {"auto": "auto", "0.5": 0.5}


def add_places(parser: argparse.ArgumentParser, suffixes: tuple[str, ...]) -> None:
    """Add the options of input and output."""
    parser.add_argument(
        "input", nargs="+", metavar="IN",
        help="files (PNG, JPEG, TIFF, PDF, JPEG 2000, WebP, ...), folders with their subfolders, quoted "
        "patterns ('scans/**/*.tif'), fsspec URLs of any of these (s3://archive/scans), or - for "
        "standard input: an image, or a list of paths and URLs",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", required=True, metavar="OUT",
        help=f"for one input file: the file to write ({', '.join(suffixes)}), or a folder; otherwise a "
        "folder, which keeps the tree of the input; missing folders are made; either may be a URL. TIFF and "
        "PDF hold all pages of a document, other formats one page per file",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=[s.removeprefix(".") for s in suffixes],
        help="file format in the folder OUT (default: png)",
    )  # fmt: skip


def add_temperature(parser: argparse.ArgumentParser) -> None:
    """Add the temperature of samples."""
    parser.add_argument(
        "--temperature", type=float, metavar="T",
        help="temperature of the samples; 1 is the model's own distribution, except for latents to which "
        "its recipe gives other `temperatures` (default: 0, or 1 with several samples)",
    )  # fmt: skip


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="S", help="seed of the samples (default: %(default)s)"
    )
    parser.add_argument(
        "--memory", type=size, metavar="SIZE",
        help="memory limit of all --jobs on a machine together, such as 800MB or 4GB (default: 2GB each, or "
        "what is free with --jobs auto); the result does not depend on it",
    )  # fmt: skip
    parser.add_argument(
        "--max-pixels", type=positive, default=MAX_PIXELS, metavar="N",
        help="refuse images with more pixels (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--pdf-dpi", type=dpi, metavar="DPI",
        help="draw pages of PDF files at this resolution, in dots per inch (default: that of their sharpest "
        "image, and 300 or more where there is text)",
    )  # fmt: skip
    parser.add_argument(
        "--pdf-password", metavar="PLACE",
        help="where to read the password of encrypted PDF files: file:PATH (the first line of a file), or "
        "env:NAME (an environment variable)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="auto",
        help="precision of the encoder and of the networks that read its features; auto: bfloat16 on "
        "processors that have instructions for it, which is faster, with nearly the same result; float32 "
        "elsewhere (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N",
        help="pages to process at a time, each in a process with its share of --threads; auto: as many as "
        "there are cores and pages, and as have 2GB of --memory each (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="ray: use the Ray cluster that RAY_ADDRESS names, or start one on this machine; all machines "
        "must see the folders under the same paths, or reach the same URLs (default: local)",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true",
        help=f"redo finished pages; by default, pages are skipped if their files are in the folder OUT and "
        f"its {REPORT} shows that they were made from the same input with the same options",
    )  # fmt: skip
    parser.add_argument(
        "--verify", action="store_true",
        help="read existing results completely, and redo those that differ from what was written (default: "
        "compare sizes)",
    )  # fmt: skip
    parser.add_argument(
        "--html", action="store_true",
        help=f"write {html.NAME} into the folder OUT: all pages, the most uncertain first",
    )  # fmt: skip
    add_device(parser)
    add_import(parser)
    add_threads(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--json", action="store_true",
        help=f"print a line of JSON for every page, as in {REPORT}, instead of text; also for failed pages",
    )  # fmt: skip


def add_save_samples(parser: argparse.ArgumentParser) -> None:
    """Add the option of files for the samples."""
    parser.add_argument(
        "--save-samples", metavar="SAMPLES",
        help="also write every sample, numbered: s.png gives s-01.png, s-02.png, ...; "
        "a folder if OUT is one",
    )  # fmt: skip


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the options of how a model of ink sees a page."""
    parser.add_argument(
        "--scale", type=_scale, default="auto", metavar="K",
        help="page pixels per pixel that the model sees: auto (default), by the width of the page's strokes; "
        f"0.5; or a whole number from 1 to {MOST}. The result has the page's own pixels",
    )  # fmt: skip
    parser.add_argument(
        "--invert", choices=("auto", "yes", "no"), default="auto",
        help="turn pages into their negatives first; auto (default): only pages that are light on dark",
    )  # fmt: skip
    parser.add_argument(
        "--layout", metavar="LAYOUT",
        help="leave white what is outside of the border and the regions of a PAGE or ALTO file. LAYOUT is "
        "the file of the page, or a folder with one for each page, named like its result (sub/book-001.xml)",
    )  # fmt: skip


def _scale(text: str) -> Scale:
    try:
        return check_scale(_SCALES.get(text) or int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected auto, 0.5 or a whole number from 1 to {MOST}, got {text}"
        ) from None


def _jobs(text: str) -> int | str:
    return text if text == "auto" else positive(text)


_jobs.__name__ = positive.__name__  # argparse names it where int() refuses the text


def shared(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a `Task` that all these verbs have."""
    if args.jobs == "auto":
        memory = args.memory or free_memory()
    else:
        shares = args.jobs if args.engine == "local" else 1
        memory = MEMORY if args.memory is None else args.memory // shares
    names = ["model", "temperature", "samples", "seed", "max_pixels", "precision", "device"]
    names += ["pdf_dpi", "pdf_password"]
    return {name: getattr(args, name) for name in names} | {"memory": memory}


def run_batch(args: argparse.Namespace, task: Task, **more: Any) -> int:
    """Do all pages; return 0, or 1 if some failed.

    Raises:
        FlowkitError: an input or an option that cannot be used, and the failure of an only page.
    """
    prepare(args)
    names = ("out", "format", "save_samples", "overwrite", "verify", "html", "jobs", "engine", "modules")
    said = {name: getattr(args, name) for name in (*names, "layout") if name in args}
    job = BatchJob(args.input, task=task, **said, **more)
    with (
        Display(quiet=args.quiet, json=args.json) as display,
        run(job, display.part) as pages,
    ):
        display.begin(pages, args.out)
        for record in pages:
            display.show(record, pages.result(record))
        return display.end(pages)
