"""The work on one page: reading the file, doing the task, and noting results and failures in a record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from flowkit.batch.file_identity import digest, identity
from flowkit.batch.plan import Sheet
from flowkit.batch.storage import Staging
from flowkit.batch.tasks import Fields, Progress, Task
from flowkit.checkpoint import locate
from flowkit.errors import FlowkitError, ImageError, OutputError
from flowkit.files import make_folder
from flowkit.flow import ConditionalFlow
from flowkit.images.multipage import keep_frame
from flowkit.images.password import password_from
from flowkit.images.reader import read
from flowkit.recipe import read_recipe_text

PageWork = Callable[[Sheet, Progress], Fields]
"""A function that does a page, and returns fields of its record, an error if it failed. It raises nothing."""


@dataclass(frozen=True)
class TaskOnPages:
    """A task with its model loaded, which does a page whenever it is called; a `PageWork`.

    Attributes:
        task: the task.
        flow: its model.
        staging: how the files of a page come to this process.
    """

    task: Task
    flow: ConditionalFlow
    staging: Staging

    def __call__(self, sheet: Sheet, progress: Progress) -> Fields:
        """Do a page."""
        began = time.perf_counter()
        said: Fields = {}
        try:
            with self.staging(sheet) as local:
                if local.source.is_file():
                    said |= identity(local.source)
                said |= self._done(local, progress)
        except (ImageError, OutputError) as error:  # they name the file
            said |= failure(str(error).replace(str(sheet.source), sheet.input))
        except FlowkitError as error:
            said |= failure(f"{sheet.name}: {error}")
        except MemoryError:
            said |= failure(f"{sheet.name}: does not fit into memory")
        except Exception as error:  # one bad page must not stop the run
            said |= failure(f"{sheet.name}: {type(error).__name__}: {error}")
        said["seconds"] = round(time.perf_counter() - began, 3)
        said["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        return said

    def _done(self, sheet: Sheet, progress: Progress) -> Fields:
        task = self.task
        password = None if task.pdf_password is None else password_from(task.pdf_password)
        picture = read(
            sheet.source,
            page=sheet.page,
            max_pixels=task.max_pixels,
            pdf_dpi=task.pdf_dpi,
            pdf_password=password,
            plan=task.plan(self.flow, sheet),
        )
        for path in sheet.files.values():
            make_folder(path.parent)
        said = task.do(self.flow, picture, sheet, progress)
        if sheet.document is None:
            said["notes"] += keep_frame(sheet.out, sheet.source, password)
        files = {
            kind: {"bytes": path.stat().st_size, "sha256": digest(path)} for kind, path in sheet.files.items()
        }
        return {"status": "done", **said, "files": files}


def settings_of(task: Task) -> Fields:
    """Return the settings of a task. Raises FlowkitError where one of its options cannot be used."""
    try:
        return task.settings()
    except ValueError as error:
        raise FlowkitError(str(error)) from None


def described(task: Task, flow: ConditionalFlow) -> tuple[Fields, Fields]:
    """Return the settings of a task as the report has them, and the names of its model and recipe.

    Raises:
        FlowkitError: an option of the task cannot be used.
    """
    assert flow.recipe is not None  # it was read from a checkpoint
    settings = {**settings_of(task), "model_sha256": digest(locate(task.model))}
    return settings, {"model": task.model, "recipe": read_recipe_text(flow.recipe).name}


def failure(error: str) -> Fields:
    """Return what a record says of a page that cannot be done."""
    return {"status": "failed", "error": error}
