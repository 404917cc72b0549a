"""The pages of a batch on a cluster, through Ray Data: the same work, and the same records."""

from __future__ import annotations

import importlib
import json
import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flowkit.batch.page_work import PageWork, failure
from flowkit.batch.plan import Sheet
from flowkit.batch.processes import Start
from flowkit.batch.tasks import Fields
from flowkit.errors import FlowkitError

RETRIES = 3
"""Number of retries of a page whose process or machine dies."""


def work_through(
    sheets: Sequence[Sheet], start: Start, *, jobs: int, threads: int
) -> Iterator[tuple[Sheet, Fields]]:
    """Do every page on the cluster that RAY_ADDRESS names, or on one that is started here.

    All machines see the same folders under the same paths, or reach the same URLs. A page that is done twice,
    because a machine was lost before it could report it, is written twice, each time whole, and is one
    record.

    Args:
        sheets: the pages.
        start: see `flowkit.batch.processes`; it travels to the machines, which have flowkit.
        jobs: most pages at a time.
        threads: processor cores that each takes.

    Raises:
        FlowkitError: ray is not installed.
    """
    ray = _ray()
    began_here = not ray.is_initialized()
    if began_here:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # pages that kill their process again and again, see below
    rows = [{"index": index, "sheet": _packed(sheet)} for index, sheet in enumerate(sheets)]
    left = set(range(len(sheets)))
    try:
        pages = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _OnRay,
            fn_constructor_args=(start,),
            # a process that dies takes what waits for it along, and costs each a retry: one page at a time
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=jobs, max_tasks_in_flight_per_actor=1),
            num_cpus=threads,
            ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": RETRIES},
        )
        for row in pages.iter_rows():
            if row["index"] in left:
                left.remove(row["index"])
                yield sheets[row["index"]], json.loads(row["record"])
    finally:
        if began_here:
            ray.shutdown()
    for index in sorted(left):
        yield sheets[index], failure(f"{sheets[index].name}: the processes that worked on it died")


class _OnRay:
    """A process of the cluster."""

    def __init__(self, start: Start) -> None:
        self.page: PageWork = start()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        record = self.page(pickle.loads(row["sheet"]), lambda *_: None)
        return {"index": row["index"], "record": json.dumps(record)}


def _packed(sheet: Sheet) -> bytes:
    """Return a page with absolute paths: processes of a cluster have another working folder."""
    return pickle.dumps(sheet.moved(Path.absolute))


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError:
        raise FlowkitError("--engine ray needs ray: pip install 'flowkit-nf[ray]'") from None
    for name in ("ray", "ray.data"):  # records hold what matters
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray
