"""`flowkit view`: pages and results in the browser of this machine."""

from __future__ import annotations

import argparse
import webbrowser
from contextlib import suppress
from pathlib import Path

from flowkit.batch import Binarize
from flowkit.batch.report import REPORT
from flowkit.cli.options import add_device, add_import, add_threads, natural, prepare
from flowkit.errors import FlowkitError
from flowkit.view.pages import SAMPLES, Pages
from flowkit.view.server import serve

MOST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.description = (
        "Show pages beside their results in a browser, the most uncertain first: compare, zoom, move the "
        "threshold, accept pages, or do them again with other options. Only this machine can connect, with "
        "the address that is printed; Ctrl-C ends the verb. Needs the extra `view`"
    )
    parser.add_argument(
        "pages", nargs="+", metavar="IN",
        help=f"a folder that flowkit wrote, with its {REPORT}; with -o, files and folders as for binarize",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", metavar="OUT", help="the folder for results of pages that are not done"
    )
    parser.add_argument(
        "--model", default="binarize", metavar="M",
        help="model for such pages: name of a shipped model, or a checkpoint (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--port", type=natural, default=0, help="port (default: any free one)")
    parser.add_argument("--open", action="store_true", help="open the browser")
    add_device(parser)
    add_import(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    prepare(args)
    if args.port > MOST_PORT:
        raise FlowkitError(f"--port must be {MOST_PORT} or less, got {args.port}")
    if args.out is None and len(args.pages) > 1:
        raise FlowkitError("several inputs need -o OUT, the folder for results")
    folder = Path(args.pages[0] if args.out is None else args.out)
    task = Binarize(model=args.model, samples=SAMPLES, device=args.device)
    pages = Pages(folder, () if args.out is None else args.pages, task)

    def ready(url: str) -> None:
        print(url, flush=True)
        if args.open:
            webbrowser.open(url)

    with suppress(KeyboardInterrupt):
        serve(pages, port=args.port, ready=ready)
    return 0
