"""Other programs that tell ink from paper: what a user would pick instead, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from flowkit.images.picture import Picture
from flowkit.pages import read

UNPAPER = "unpaper"
NLBIN = "kraken nlbin"
DOXAPY = ("doxapy sauvola", "doxapy su", "doxapy wolf")

# Everything that moves, crops or masks a page is off: what is left is what the others do, too.
_OFF = ("deskew", "mask-scan", "mask-center", "border-scan", "border-align", "wipe")
_UNPAPER = [UNPAPER, "--quiet", "--overwrite", *(f"--no-{step}" for step in _OFF), "--type", "pbm"]


def found() -> tuple[list[str], list[str]]:
    """Return the names of the programs that are here, and a note for each that is not."""
    names: list[str] = []
    notes: list[str] = []
    for those, is_here, remedy in (
        (DOXAPY, importlib.util.find_spec("doxapy") is not None, "pip install doxapy"),
        ((UNPAPER,), shutil.which(UNPAPER) is not None, "a package of Debian and others"),
        ((NLBIN,), importlib.util.find_spec("kraken") is not None, "pip install kraken"),
    ):
        if is_here:
            names += those
        else:
            notes.append(f"{those[0].partition(' ')[0]} is missing: {remedy}")
    return names, notes


def action(name: str) -> Callable[[Any], object] | None:
    """Return the function of that name that binarizes a page, a file or an array; None if there is none."""
    if name in DOXAPY:
        return lambda page: _doxapy(name.partition(" ")[2], read(page))
    if name == NLBIN:
        nlbin = importlib.import_module("kraken.binarization").nlbin
        return lambda page: nlbin(Image.fromarray(read(page).eight_bits()))
    return (lambda page: _unpaper(read(page))) if name == UNPAPER else None


def _doxapy(name: str, picture: Picture) -> object:
    doxapy: Any = importlib.import_module("doxapy")
    levels = _grey(picture)
    method = doxapy.Binarization(getattr(doxapy.Binarization.Algorithms, name.upper()))
    method.initialize(levels)
    out = levels.copy()
    method.to_binary(out, {})
    return out


def _unpaper(picture: Picture) -> object:
    """Run unpaper, which reads and writes PNM alone."""
    with tempfile.TemporaryDirectory() as folder:
        page, ink = Path(folder, "page.pgm"), Path(folder, "ink.pbm")
        Image.fromarray(_grey(picture)).save(page)
        subprocess.run([*_UNPAPER, str(page), str(ink)], check=True, capture_output=True)
        return ink.stat()


def _grey(picture: Picture) -> Any:
    height, width = picture.size
    grey = picture.window(slice(0, height), slice(0, width), 1)[0, 0]
    return (255 * grey).round().to(torch.uint8).numpy()
