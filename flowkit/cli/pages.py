"""What `flowkit binarize` and `flowkit upscale` share: files in, files out, and a run that may be long."""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from flowkit.batch import html, processes, ray
from flowkit.batch.file_identity import identity
from flowkit.batch.loop import Run
from flowkit.batch.remote.placeholders import AtHand, Mirror
from flowkit.batch.remote.session import Remote
from flowkit.batch.report import REPORT, Report, opened
from flowkit.batch.tasks import PageWork, Record, Work
from flowkit.checkpoint import locate
from flowkit.cli.options import add_device, add_import, add_threads, natural, positive, prepare, size
from flowkit.cli.planning import Plan, Verb, planned, shown
from flowkit.cli.progress import Bar
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.files import make_folder
from flowkit.flow import ConditionalFlow
from flowkit.images.reader import MAX_PIXELS
from flowkit.malloc import keep_freed_memory
from flowkit.pages.memory import MEMORY
from flowkit.pages.precision import Precision
from flowkit.recipe import import_modules, read_recipe_text


def add_places(parser: argparse.ArgumentParser, suffixes: tuple[str, ...]) -> None:
    """What goes in, and where it comes out."""
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
    """How the work is done."""
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
        "--html", action="store_true",
        help=f"write {html.NAME} into the folder OUT: every page, what to look at first on top",
    )  # fmt: skip
    add_device(parser)
    add_import(parser)
    add_threads(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace, verb: Verb) -> int:
    """Do all pages; 0, or 1 if some failed.

    Raises:
        FlowkitError: what cannot be used, and the failure of an only page.
    """
    prepare(args)
    with Remote() as remote:
        try:
            return _run(args, verb, remote)
        except FlowkitError as error:
            raise type(error)(remote.named(str(error))) from None


def _run(args: argparse.Namespace, verb: Verb, remote: Remote) -> int:
    try:
        settings = verb.work.settings()
    except ValueError as error:
        raise FlowkitError(str(error)) from None
    try:
        plan = planned(args, verb, remote)
    except (ImageError, OutputError) as error:
        raise type(error)(shown(remote.named(str(error)))) from None
    say = functools.partial(_say, remote)
    model = verb.work.load()
    settings["model_sha256"] = identity(locate(args.model))["sha256"]
    assert model.recipe is not None  # it was read from a checkpoint
    labels = {"model": args.model, "recipe": read_recipe_text(model.recipe).name}
    through = _engine(args, verb.work, model, remote.mirror)
    failures = list(plan.problems)
    for problem in failures:
        say(problem)
    with _opened(plan, remote) as book:
        left = Run(
            plan.documents, settings, labels, book,
            keep=plan.folder is not None, overwrite=args.overwrite, binding=remote.binding,
        )  # fmt: skip
        _say_skipped(left, args.out, say)
        with Bar(left.total, left.total - len(left.todo), quiet=args.quiet) as bar:
            for sheet, record in left.go(functools.partial(through, progress=bar.part)):
                bar.page()
                if record["status"] == "failed":
                    failures.append(record["error"])
                    if left.total > 1:
                        say(record["error"])
                    continue
                for note in record["notes"]:
                    say(f"{sheet.name}: {note}")
                which = "" if sheet.document is None else f" page {record['page']}:"
                line = f"{remote.named(str(sheet.result))}:{which} {verb.describe(record)}"
                Bar.write(shown(line), file=sys.stdout)
                sys.stdout.flush()
        if args.html:
            assert book is not None  # `planned` has seen to it
            remote.put(html.write(book, fetched=remote.fetched))
    return _end(plan, left, failures, remote, say)


@contextmanager
def _opened(plan: Plan, remote: Remote) -> Iterator[Report | None]:
    """The report in a folder that is made where it is not there; None where there is none."""
    if plan.state is None:
        yield None
        return
    make_folder(plan.state)
    # one beside a document is of no use elsewhere: it goes with the pages
    keeping = nullcontext() if plan.folder is None else remote.keeping(plan.folder / REPORT)
    with keeping, opened(plan.state, named=remote.named, same=remote.is_same) as book:
        yield book


def _engine(
    args: argparse.Namespace, work: Work, model: ConditionalFlow, mirror: Mirror | None
) -> Callable[..., Any]:
    """What does the pages: this process, others, or a cluster."""
    if args.engine == "local" and args.jobs == 1:
        begin = functools.partial(work.begin, model, _bring(mirror))
        return functools.partial(processes.work_through, start=begin, jobs=1)
    threads = max(1, torch.get_num_threads() // args.jobs)
    files = [str(Path(name).resolve()) if name.endswith(".py") else name for name in args.modules]
    work = replace(work, model=str(locate(args.model).resolve()))  # wherever the processes are
    start = functools.partial(_begin, work, tuple(files), threads, mirror)
    if args.engine == "local":
        return functools.partial(processes.work_through, start=start, jobs=args.jobs)
    return functools.partial(ray.work_through, start=start, jobs=args.jobs, threads=threads)


def _begin(work: Work, modules: tuple[str, ...], threads: int, mirror: Mirror | None) -> PageWork:
    """In a process of its own."""
    import_modules(modules)
    torch.set_num_threads(threads)
    keep_freed_memory()
    return work.begin(work.load(), _bring(mirror))


def _bring(mirror: Mirror | None) -> AtHand | None:
    return None if mirror is None else AtHand(mirror)


def _say_skipped(left: Run, out: str, say: Callable[[str], None]) -> None:
    done = left.total - len(left.todo) - left.kept
    if done:
        say(f"{done} of {left.total} pages are done already (--overwrite does them again)")
    if left.kept:
        say(
            f"{left.kept} of {left.total} pages are in {out} and in no {REPORT}: they stay "
            "(--overwrite does them again)"
        )


def _end(plan: Plan, left: Run, failures: list[str], remote: Remote, say: Callable[[str], None]) -> int:
    total = left.total + len(plan.problems)
    if plan.folder is None:
        [document] = plan.documents
        if document.out is not None:
            shutil.rmtree(document.parts, ignore_errors=True)
            if left.unbound:
                with suppress(OutputError):
                    remote.forget(document)
        if failures and total == 1:
            raise FlowkitError(shown(remote.named(failures[0])))
    if not failures:
        return 0
    say(f"{len(failures)} of {total} pages failed:")
    for failure in failures:
        print(f"  {shown(remote.named(failure))}", file=sys.stderr)
    for out in left.unbound:
        say(f"{out}: not written, because pages of it failed")
    return 1


def _say(remote: Remote, message: str) -> None:
    Bar.write(f"flowkit: {shown(remote.named(message))}", file=sys.stderr)


def common(args: argparse.Namespace) -> dict[str, Any]:
    """What `Work` of either verb is made of."""
    memory = MEMORY if args.memory is None else args.memory // (args.jobs if args.engine == "local" else 1)
    names = ("model", "temperature", "samples", "seed", "max_pixels", "precision", "device")
    return {name: getattr(args, name) for name in names} | {"memory": memory}


def described(record: Record) -> str:
    """Size and dpi of a result."""
    if record["dpi"] is None:
        dpi = "no dpi"
    else:
        across, down = record["dpi"]
        dpi = f"{across:g} dpi" if across == down else f"{across:g} x {down:g} dpi"
    return f"{record['width']} x {record['height']}, {dpi}"
