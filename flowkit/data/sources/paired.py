"""Images with their truths."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from flowkit.data.find import find_pairs, match
from flowkit.data.sources.base import Source
from flowkit.data.tasks import PairSheet, Sheet, Task
from flowkit.errors import DataError
from flowkit.registry import register


@register("paired")
class Paired(Source):
    """Images, each with its truth: ink (black), or an image for targets that are images.

    Give one of: `path`; `images` and `truths`; `manifest`.

    Args:
        task: what the pages are for.
        base: of relative paths.
        path: a folder or several: `img` and `gt` folders, or as DIBCO is downloaded, see `find_pairs`.
        images: a folder of images ...
        truths: ... and one of truths that are called alike; `_gt` at the end of a name does not count.
        manifest: a CSV or TSV file with an image and its truth in each line; paths start from its folder.
        threshold: truths may have grey pixels, of which those below it (1 to 255) are ink.

    Raises:
        DataError: no way of naming the pages was given, or more than one; a threshold out of range.
    """

    def __init__(
        self,
        task: Task,
        base: Path,
        *,
        path: str | list[str] | None = None,
        images: str | None = None,
        truths: str | None = None,
        manifest: str | None = None,
        threshold: int | None = None,
    ) -> None:
        super().__init__(task, base)
        given = (path is not None, images is not None or truths is not None, manifest is not None)
        if sum(given) != 1 or (images is None) != (truths is None):
            raise DataError('source "paired" needs one of: "path"; "images" and "truths"; "manifest"')
        if threshold is not None and not 1 <= threshold <= 255:
            raise DataError(f'option "threshold" of source "paired" must be from 1 to 255, got {threshold}')
        self.folders = [base / p for p in ([path] if isinstance(path, str) else path or [])]
        self.images = None if images is None else base / images
        self.truths = None if truths is None else base / truths
        self.manifest = None if manifest is None else base / manifest
        self.threshold = threshold

    def find(self) -> Sequence[Sheet]:
        """Return the pages.

        Raises:
            DataError: folders without pairs, partners missing, lines that cannot be read.
        """
        if self.manifest is not None:
            pairs = read_manifest(self.manifest)
        elif self.images is not None and self.truths is not None:
            pairs = match(self.images, self.truths)
        else:
            pairs = find_pairs(self.folders)
        return [PairSheet(image, truth, self.task, self.threshold) for image, truth in pairs]


def read_manifest(file: Path) -> list[tuple[Path, Path]]:
    """Read the (image, truth) files that a CSV or TSV file (by its suffix) lists; `image,truth` may head it.

    Raises:
        DataError: it cannot be read, or a line is not two files that exist; all such lines are listed.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.reader(lines, delimiter="\t" if file.suffix.lower() in (".tsv", ".tab") else ",")
            numbered = [(rows.line_num, [cell.strip() for cell in row]) for row in rows if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a manifest ({error})") from None
    if numbered and [cell.lower() for cell in numbered[0][1]] == ["image", "truth"]:
        del numbered[0]
    pairs, problems = [], []
    for number, row in numbered:
        if len(row) != 2:
            problems.append(f"{file}:{number}: expected an image and its truth, found {len(row)} fields")
            continue
        image, truth = (file.parent / cell for cell in row)
        missing = [name for name in (image, truth) if not name.is_file()]
        problems.extend(f"{file}:{number}: no file {name}" for name in missing)
        if not missing:
            pairs.append((image, truth))
    if not numbered:
        problems.append(f"{file}: lists no pages")
    if problems:
        raise DataError("\n".join(problems))
    return list(dict.fromkeys(pairs))
