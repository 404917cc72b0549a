"""Folders at URLs, filled and read without flowkit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec


class Place:
    """A folder at a URL, filled and read without flowkit."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fs, self.root = fsspec.core.url_to_fs(url)

    def take(self, folder: str) -> None:
        for path in Path(folder).rglob("*"):
            if path.is_file():
                self.write(str(path.relative_to(folder)), path.read_bytes())

    def write(self, place: str, data: bytes) -> None:
        path = f"{self.root}/{place}"
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.fs.pipe_file(path, data)

    def tree(self) -> dict[str, bytes]:
        names = {name.removeprefix(self.root).lstrip("/"): name for name in self.fs.find(self.root)}
        return {k: self.fs.cat_file(v) for k, v in names.items() if not k.startswith("report.")}

    def report(self) -> list[dict[str, Any]]:
        """The lines about pages; those about documents are left out."""
        text = self.fs.cat_file(f"{self.root}/report.jsonl").decode()
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line["status"] != "bound"]


Places = Callable[[str, str], Place]
"""Of `memory://` or `file://`, and a name."""
