"""A batch as a value: what `run` does depends on it, and on the files that it names, alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowkit.batch.storage import Storage
from flowkit.batch.tasks import Task

Engine = Literal["local", "ray"]
Place = str | os.PathLike[str]


@dataclass(frozen=True)
class BatchJob:
    """Pages of files, what is done with each, and where the results go.

    Attributes:
        inputs: files, folders with their subfolders, patterns ("scans/**/*.tif"), fsspec URLs of any of
            these, or "-": an image on standard input, or a list of paths and URLs there.
        out: the file to write, where one file goes in; or a folder, in which the tree of the input is kept.
            It is made if it is not there, and holds `report.jsonl`.
        task: what is done with every page.
        format: of the files in the folder `out`, such as "tif"; by default "png".
        maps: what is also written, and where: for `Binarize` "probability" and "uncertainty", images, and
            "components" and "readings", JSON. Files where `out` is one, otherwise folders.
        save_samples: where every sample is written: a file where `out` is one, otherwise a folder.
        layout: the PAGE or ALTO file of the page; or a folder with a file of each page, named like its
            result (sub/book-001.xml).
        overwrite: do pages again that are done.
        verify: read the files of pages that are done, and do those again whose bytes are not those that were
            written; without it, their sizes are compared.
        html: write `report.html` into the folder `out`.
        jobs: pages that are worked on at a time, each in a process of its own. "auto": as many as there are
            cores and pages, if `Task.memory` is so many times the default; they share it.
        engine: "ray" works on the cluster that RAY_ADDRESS names, or on one that is started on this machine.
        modules: modules and .py files with layers of one's own, which other processes are to import.
        storage: where files are; by default this machine's folders, and fsspec's stores where a URL is named.
    """

    inputs: Sequence[Place]
    out: Place
    task: Task
    format: str | None = None
    maps: Mapping[str, Place] = field(default_factory=dict)
    save_samples: Place | None = None
    layout: Place | None = None
    overwrite: bool = False
    verify: bool = False
    html: bool = False
    jobs: int | Literal["auto"] = 1
    engine: Engine = "local"
    modules: Sequence[str] = ()
    storage: Storage | None = None

    @property
    def places(self) -> list[Place]:
        """Return all that is named: inputs, and places for results."""
        more = [] if self.save_samples is None else [self.save_samples]
        return [*self.inputs, self.out, *self.maps.values(), *more]
